"""The solvers' steps on torch tensors: on a GPU, or on processors by the same code; torch is loaded by nothing else."""

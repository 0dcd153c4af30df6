"""How well each kind of damage is undone: `python examples/kinds_of_damage.py [ROWS COLUMNS]`, a detail of Bruegel."""

import sys
import time

from fmkit.datasets import load_harvesters, make_damage
from fmkit.datasets.damage import KINDS
from fmkit.restore import psnr, restore_image, ssim

n_rows, n_columns = map(int, sys.argv[1:] or (200, 300))
picture = load_harvesters().picture[400 : 400 + n_rows, 500 : 500 + n_columns]
print("kind        lost   seconds   PSNR lost   SSIM lost")
for kind in KINDS:
    lost = make_damage(picture.shape[:2], kind, random_state=0)
    damaged = picture.copy()
    damaged[lost] = 255
    begin = time.perf_counter()
    restored = restore_image(damaged, lost)
    seconds = time.perf_counter() - begin
    scores = f"{psnr(picture, restored, lost):8.2f} dB {ssim(picture, restored, lost):11.3f}"
    print(f"{kind:10} {lost.mean():5.1%} {seconds:9.1f} {scores}")

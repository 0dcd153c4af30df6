"""Letters as pixels, for captions on pictures and for lost text: needs no font of the machine, so they are the same
everywhere."""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import zoom

# A letter is 5 x 7 dots: seven rows from the top, two hexadecimal digits each, the left dot is the bit 16.
_FONT = """
A=0E11111F111111 B=1E11111E11111E C=0E11101010110E D=1C12111111121C E=1F10101E10101F F=1F10101E101010
G=0E11101711110F H=1111111F111111 I=0E04040404040E J=0702020202120C K=11121418141211 L=1010101010101F
M=111B1515111111 N=11191915131311 O=0E11111111110E P=1E11111E101010 Q=0E11111115120D R=1E11111E141211
S=0F10100E01011E T=1F040404040404 U=1111111111110E V=11111111110A04 W=1111111515150A X=11110A040A1111
Y=11110A04040404 Z=1F01020408101F a=00000E010F110F b=1010161911111E c=00000E1010110E d=01010D1311110F
e=00000E111F100E f=0609081C080808 g=000F11110F010E h=10101619111111 i=04000C0404040E j=0200060202120C
k=10101214181412 l=0C04040404040E m=00001A15151111 n=00001619111111 o=00000E1111110E p=00001E111E1010
q=00000D130F0101 r=00001619101010 s=00000E100E011E t=08081C08080906 u=0000111111130D v=00001111110A04
w=0000111115150A x=0000110A040A11 y=000011110F010E z=00001F0204081F 0=0E11131519110E 1=040C040404040E
2=0E11010204081F 3=1F02040201110E 4=02060A121F0202 5=1F101E0101110E 6=0608101E11110E 7=1F010204080808
8=0E11110E11110E 9=0E11110F01020C .=00000000000C0C ,=000000000C0408 -=0000001F000000 +=0004041F040400
/=00010204081000 :=000C0C000C0C00 %=18190204081303 (=02040808080402 )=08040202020408 _=0000000000001F
"""
_DOTS = {" ": "0" * 14} | {pair[0]: pair[2:] for pair in _FONT.split()}
_UNKNOWN = "1F11111111111F"


def letters(text: str, height: int) -> NDArray[np.bool_]:
    """Write a line of text.

    Parameters
    ----------
    text : str
        Letters of ASCII, digits and a few signs; others become a box.
    height : int
        Of the capitals, in pixels; 7 and more can be read.

    Returns
    -------
    bool ndarray of shape (height, about 0.86 * height * len(text))
        True where there is ink.

    Examples
    --------
    >>> from fmkit.lettering import letters
    >>> for row in letters("So", 7):
    ...     print("".join(" #"[int(dot)] for dot in row).rstrip())
     ####
    #
    #      ###
     ###  #   #
        # #   #
        # #   #
    ####   ###
    """
    dots = np.zeros((7, 6 * max(len(text), 1)), bool)
    for place, letter in enumerate(text):
        code = _DOTS.get(letter, _UNKNOWN)
        for row in range(7):
            bits = int(code[2 * row : 2 * row + 2], 16)
            dots[row, 6 * place : 6 * place + 5] = [bits >> bit & 1 for bit in (4, 3, 2, 1, 0)]
    if height == 7:
        return dots
    size = height / 7
    # Less than half, or strokes along a diagonal would fall apart into dots.
    smooth = zoom(dots.astype(np.float32), (size, size), order=1, grid_mode=True, mode="grid-constant")
    return np.asarray(smooth > 0.45)

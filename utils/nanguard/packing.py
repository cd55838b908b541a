"""What pip asks for to install this folder: a wheel, which is a zip of the modules and three lists. Needs nothing installed."""

import base64
import hashlib
import zipfile
from pathlib import Path

FOLDER, INFO = Path(__file__).parent, "nanguard-2.0.dist-info"
METADATA = "Metadata-Version: 2.1\nName: nanguard\nVersion: 2.0\nRequires-Python: >=3.10\n"  # torch is there already
WHEEL = "Wheel-Version: 1.0\nGenerator: nanguard\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None) -> str:
    """Write the wheel, and return its name."""
    files = {f"nanguard/{path.name}": path.read_bytes() for path in sorted(FOLDER.glob("*.py"))}
    files |= {f"{INFO}/METADATA": METADATA.encode(), f"{INFO}/WHEEL": WHEEL.encode()}
    record = ""
    for name, content in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        record += f"{name},sha256={digest},{len(content)}\n"
    files[f"{INFO}/RECORD"] = (record + f"{INFO}/RECORD,,\n").encode()
    with zipfile.ZipFile(Path(wheel_directory) / "nanguard-2.0-py3-none-any.whl", "w", zipfile.ZIP_DEFLATED) as wheel:
        for name, content in files.items():
            wheel.writestr(name, content)
    return "nanguard-2.0-py3-none-any.whl"

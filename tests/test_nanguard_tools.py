"""nanguard in somebody else's environment: installed beside a package called utils, and inside trainers."""

import importlib.util
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "utils" / "nanguard"
LOOP = """
import torch, utils
from {name} import Collapse, guard
net = torch.nn.Linear(4, 3)
batches = [torch.ones(5, 4) for _ in range(6)]
batches[3][2] = -1
try:
    for x in guard(batches, net):
        net(torch.log(x)).mean().backward()
except Collapse as collapse:
    print(utils.MINE, collapse.verdict.iteration, collapse.verdict.operation, collapse.verdict.sample)
"""


def run(python, folder, name):
    (folder / "utils").mkdir()
    (folder / "utils" / "__init__.py").write_text("MINE = 'mine'\n")
    (folder / "train.py").write_text(LOOP.format(name=name))
    ended = subprocess.run([python, "train.py"], cwd=folder, capture_output=True, text=True)
    assert ended.stdout.split() == ["mine", "4", "log", "2"], ended.stderr


@pytest.mark.skipif(importlib.util.find_spec("setuptools") is None, reason="setuptools is not installed")
def test_it_installs_by_pip_beside_a_package_called_utils(tmp_path):
    shutil.copytree(FOLDER, tmp_path / "source", ignore=shutil.ignore_patterns("__pycache__"))
    venv.create(tmp_path / "venv", with_pip=True)
    python = next(one for one in (tmp_path / "venv").glob("*/python*") if one.is_file())
    where = "import sysconfig; print(sysconfig.get_path('purelib'))"
    site = subprocess.run([python, "-c", where], capture_output=True, text=True).stdout.strip()
    (Path(site) / "torch.pth").write_text(str(Path(torch.__file__).parent.parent))  # the torch that is there
    quiet = ["--quiet", "--no-index", "--no-deps", "--disable-pip-version-check"]
    # Where there is a network pip fetches setuptools by itself; here the one that is there must do.
    for step in (
        [sys.executable, "-m", "pip", "wheel", *quiet, "--no-build-isolation", "-w", tmp_path / "wheel", tmp_path / "source"],
        [python, "-m", "pip", "install", *quiet, "--find-links", tmp_path / "wheel", "nanguard"],
    ):
        ended = subprocess.run(step, capture_output=True, text=True)
        assert ended.returncode == 0, ended.stderr
    (tmp_path / "project").mkdir()
    run(python, tmp_path / "project", "nanguard")


def test_the_folder_works_under_any_name(tmp_path):
    shutil.copytree(FOLDER, tmp_path / "third_party" / "watchdog", ignore=shutil.ignore_patterns("__pycache__"))
    run(sys.executable, tmp_path, "third_party.watchdog")


def test_it_imports_without_numpy(tmp_path):
    shutil.copytree(FOLDER, tmp_path / "nanguard", ignore=shutil.ignore_patterns("__pycache__"))
    code = "import sys; before = set(sys.modules); import torch; own = set(sys.modules); import nanguard; "
    code += "print(sorted(m for m in set(sys.modules) - own if m.split('.')[0] not in ('nanguard', *sys.stdlib_module_names)))"
    ended = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert all(name.startswith("torch") for name in eval(ended.stdout)), ended.stdout


# ---------------------------------------------------------------- trainers


def needs(name):
    return pytest.mark.skipif(importlib.util.find_spec(name) is None, reason=f"{name} is not installed")


def batches():
    torch.manual_seed(0)
    found = [torch.rand(4, 6) + 0.5 for _ in range(12)]
    found[5][1] = 0
    return found


def expect(call):
    from utils.nanguard import Collapse

    with pytest.raises(Collapse) as caught:
        call()
    verdict = caught.value.verdict
    assert (verdict.iteration, verdict.operation, verdict.sample) == (6, "log", 1) and "torch.log" in verdict.line


@needs("pytorch_lightning")
@pytest.mark.filterwarnings("ignore")
def test_lightning(tmp_path):
    import pytorch_lightning as lightning

    from utils.nanguard import guard

    class Net(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.net = torch.nn.Linear(6, 1)
            self.own = torch.optim.Adam(self.net.parameters(), 1e-3)

        def configure_optimizers(self):
            return self.own

        def training_step(self, x, i):
            return self.net(torch.log(x)).square().mean()

    net = Net()
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = lightning.Trainer(max_epochs=1, accelerator="cpu", default_root_dir=tmp_path, **quiet)
    expect(lambda: trainer.fit(net, guard(batches(), net, net.own)))


@needs("transformers")
@pytest.mark.filterwarnings("ignore")
def test_the_trainer_of_hugging_face(tmp_path):
    from transformers import Trainer, TrainingArguments

    from utils.nanguard import guard

    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.net = torch.nn.Linear(6, 1)

        def forward(self, x):
            return {"loss": self.net(torch.log(x)).square().mean()}

    class Guarded(Trainer):
        def get_train_dataloader(self):
            return guard(super().get_train_dataloader(), self.model, self.optimizer)

        def _get_train_sampler(self, *_):
            return torch.utils.data.SequentialSampler(rows)

    rows = [{"x": row} for batch in batches() for row in batch]
    quiet = {"report_to": [], "save_strategy": "no", "disable_tqdm": True}
    settings = TrainingArguments(str(tmp_path), per_device_train_batch_size=4, num_train_epochs=1, use_cpu=True, **quiet)
    net = Net()
    optimizers = torch.optim.AdamW(net.parameters(), 1e-3), None
    expect(Guarded(net, settings, train_dataset=rows, optimizers=optimizers).train)


@needs("accelerate")
@pytest.mark.filterwarnings("ignore")
def test_accelerate():
    from accelerate import Accelerator

    from utils.nanguard import guard

    def train():
        accelerator, net = Accelerator(cpu=True), torch.nn.Linear(6, 1)
        rows = torch.utils.data.TensorDataset(torch.cat(batches()))
        opt = torch.optim.Adam(net.parameters(), 1e-3)
        net, opt, loader = accelerator.prepare(net, opt, torch.utils.data.DataLoader(rows, batch_size=4))
        for (x,) in guard(loader, net, opt):
            loss = net(torch.log(x)).square().mean()
            opt.zero_grad()
            accelerator.backward(loss)
            opt.step()

    expect(train)

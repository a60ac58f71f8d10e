"""The protocols of the papers and of the code bases that they refer to."""

from dataclasses import replace
from typing import Any

from kdbench.exhibits.recipe import Recipe

# Channel means and deviations in 0..1 that published CIFAR code normalises with.
CONSTANTS = {
    "review": (
        (125.3 / 255, 123.0 / 255, 113.9 / 255),
        (63.0 / 255, 62.1 / 255, 66.7 / 255),
    ),
    "crd": ((0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761)),
}

# ReviewKD's CIFAR code: the rate falls after the 0-based epochs 150, 180 and 210, so the first
# rate is used for 151 epochs. DistPro refers to this protocol.
REVIEW = Recipe(
    name="review",
    epochs=240,
    batch=128,
    lr=0.1,
    milestones=(151, 181, 211),
    nesterov=True,
    weight_decay=5e-4,
    augment="crop4-flip",
    mean=CONSTANTS["review"][0],
    std=CONSTANTS["review"][1],
    reported="best",
)

# DistPro, section 4.1: 40 search epochs, the rate falls at 10, 20 and 30.
DISTPRO_SEARCH = replace(REVIEW, name="distpro search", epochs=40, milestones=(10, 20, 30))

# The benchmark of Tian et al.: the rate falls in the 1-based epochs 151, 181 and 211, and the last
# epoch is reported.
CRD = Recipe(
    name="crd",
    epochs=240,
    batch=64,
    lr=0.05,
    milestones=(150, 180, 210),
    nesterov=False,
    weight_decay=5e-4,
    augment="crop4-flip",
    mean=CONSTANTS["crd"][0],
    std=CONSTANTS["crd"][1],
    reported="last",
)

# The first author's baselines of DFA: the rate falls to a fifth at 60, 120 and 160; borders are
# mirrored. The best test epoch is what that repository reports.
DFA_CIFAR = Recipe(
    name="dfa cifar",
    epochs=200,
    batch=128,
    lr=0.1,
    milestones=(60, 120, 160),
    gamma=0.2,
    nesterov=True,
    weight_decay=5e-4,
    augment="reflect4-flip",
    reported="best",
)

# The same on CINIC-10.
DFA_CINIC = Recipe(
    name="dfa cinic",
    epochs=140,
    batch=96,
    lr=0.01,
    milestones=(100, 120),
    nesterov=True,
    weight_decay=5e-4,
    augment="resized-flip",
    mean=(0.47889522, 0.47227842, 0.43047404),
    std=(0.24205776, 0.23828046, 0.25874835),
    reported="best",
)

# Length and schedule of DFA's search are not published. DARTS's 50 epochs for all groups together:
# the declared budget of β lets each group's weights go as far as 50 epochs per group would, at a
# third of the cost. The rate never falls: groups take turns, and a deep one must not be searched
# through connectors that hardly learn.
DFA_SEARCH = replace(DFA_CIFAR.shortened(50), name="dfa search", milestones=())
DFA_CINIC_SEARCH = replace(DFA_CINIC.shortened(50), name="dfa cinic search", milestones=())
# The same on images as ReviewKD prepares them.
DFA_REVIEW_SEARCH = replace(REVIEW.shortened(50), name="dfa review search", milestones=())

# SBS, section 4: everything is trained for 300 epochs, the rate falls at 150 and 255; otherwise
# "the same setting" as DenseNet, whose code trains with Nesterov momentum. So does the code of
# data-driven sparse structure selection, whose gates these are.
SBS = Recipe(
    name="sbs",
    epochs=300,
    batch=128,
    lr=0.1,
    milestones=(150, 255),
    nesterov=True,
    weight_decay=1e-4,
    augment="crop4-flip",
    reported="last",
)
SBS_SEARCH = replace(SBS, name="sbs search")

# IFVD's code, which DistPro starts from: 40,000 steps of 8 crops of 512 x 512, from images scaled
# by 0.7 to 2.1 and mirrored. Both are off by default in that code, and its README's command leaves
# them off; its authors' numbers need them. Images less the mean that the code subtracts (there in
# the order blue, green, red), undivided. The last weights are measured, on whole images.
CITYSCAPES = Recipe(
    name="cityscapes, crops of 512 x 512, mIoU of one matrix over whole images",
    epochs=108,
    steps_per_epoch=371,  # of whole batches: 40,068 steps in all
    batch=8,
    lr=0.01,
    milestones=(),
    schedule="poly",
    nesterov=False,
    weight_decay=5e-4,
    augment="scale0.7to2.1by0.1-crop512x512-flip",
    mean=(122.679 / 255, 116.669 / 255, 104.007 / 255),
    std=(1 / 255, 1 / 255, 1 / 255),
    reported="last",
)
# How long the search on Cityscapes is, DistPro does not print: a sixth, as on CIFAR-100.
CITYSCAPES_SEARCH = replace(CITYSCAPES.shortened(18), name=f"{CITYSCAPES.name}, search")
# The same at CamVid's half size, whose images are a sixteenth as large and rarely larger than a
# crop of Cityscapes.
CAMVID = replace(
    CITYSCAPES,
    name="camvid, crops of 96 x 96 of images at 240 x 180, mIoU of one matrix over whole images",
    steps_per_epoch=None,
    augment="scale0.5to1.2by0.1-crop96x96-flip",
    mean=(),
    std=(),
)
CAMVID_SEARCH = replace(CAMVID.shortened(18), name=f"{CAMVID.name}, search")

# Sparse-to-dense's code, which DistPro's numbers on depth fit alone if some 500 depths are given
# beside the image (without any it reaches 0.514 m). Colours in 0..1, as they are. The best epoch on
# the test images is reported, and chosen, by the RMSE averaged over images.
NYUV2 = Recipe(
    name=(
        "nyuv2, colours and 500 sparse depths, middle 228 x 304 of images of height 240, RMSE "
        "averaged over images"
    ),
    epochs=15,
    batch=8,
    lr=0.01,
    milestones=(5, 10),
    nesterov=False,
    weight_decay=1e-4,
    augment="height250-rotate5-scale1to1.5-centre228x304-flip-jitter0.4",
    mean=(0.0, 0.0, 0.0),
    std=(1.0, 1.0, 1.0),
    reported="best",
    view="height240-centre228x304",
    modality="rgbd500",
)
# How long the search on depth is, DistPro does not print: a fifth, of whole epochs.
NYUV2_SEARCH = replace(NYUV2.shortened(3), name=f"{NYUV2.name}, search")

# DistPro, section 4.2: ImageNet with batches of 512, the first rate 0.1 and a cosine. The weight
# decay is that of ReviewKD's code, whose own rule (0.1 for 256 images) would give a rate of 0.2.
# Augmentation and momentum are those of torchvision's reference and of ReviewKD's code: no
# Nesterov. The last epoch is reported: no test label chooses it.
IMAGENET = Recipe(
    name="imagenet",
    epochs=100,
    batch=512,
    lr=0.1,
    milestones=(),
    nesterov=False,
    weight_decay=1e-4,
    augment="rrc224-flip",
    reported="last",
    schedule="cosine",
)
# ReviewKD's own code on ImageNet: 256 images (four GPUs of 64), a tenth at 30, 60 and 90.
IMAGENET_STEP = replace(
    IMAGENET, name="imagenet step", batch=256, milestones=(30, 60, 90), schedule="step"
)
# 20 epochs are DistPro's on Tiny-ImageNet; the schedule of the search is not printed.
IMAGENET_SEARCH = replace(IMAGENET, name="imagenet search", epochs=20)
# DeiT-tiny's optimiser, rate and start are not printed: the optimiser, rate (5e-4 for 512 images),
# warm-up and weight decay of DeiT's own recipe, for 150 epochs from fresh weights, with the
# augmentation of the other pairs. Mixed images and random erasing are left out. Our choice.
IMAGENET_DEIT = replace(
    IMAGENET,
    name="imagenet deit",
    epochs=150,
    lr=5e-4,
    weight_decay=0.05,
    warmup_epochs=5.0,
    optimiser="adamw",
)
# The meta-gradient is that of a step of SGD, so the search of that pair keeps SGD; at a rate at
# which transformers train with it. Our choice.
IMAGENET_DEIT_SEARCH = replace(IMAGENET_SEARCH, name="imagenet deit search", lr=0.01)

# The same at 64 pixels, where Tiny-ImageNet stands in ImageNet's place on a small machine; batch
# and rate by the rule of 0.1 for 256 images. Our choice.
SMALL: dict[str, Any] = {"batch": 128, "lr": 0.05, "augment": "rrc64-flip"}
IMAGENET_64 = replace(IMAGENET, name="imagenet 64", **SMALL)
IMAGENET_64_STEP = replace(IMAGENET_STEP, name="imagenet 64 step", **SMALL)
IMAGENET_64_SEARCH = replace(IMAGENET_SEARCH, name="imagenet 64 search", **SMALL)

# By protocol: the first rate of ShuffleNets and MobileNets, in ReviewKD's code and in CRD's.
LIGHT_LR = {"review": 0.02, "distpro search": 0.02, "crd": 0.01, "crd search": 0.01}
LIGHT_FAMILIES = frozenset({"shufflenet_v1", "shufflenet_v2", "mobilenet_v2"})

# The data set whose channel constants a protocol has.
CONSTANTS_OF = {"crd": "cifar100", "review": "cifar100", "dfa cinic": "cinic10"}
PROTOCOLS = {
    recipe.name: recipe
    for recipe in (REVIEW, CRD, DFA_CIFAR, DFA_CINIC, SBS, IMAGENET, IMAGENET_STEP, IMAGENET_DEIT)
}
# By the first word of their names, which also say what is measured and how.
PROTOCOLS |= {"cityscapes": CITYSCAPES, "camvid": CAMVID, "nyuv2": NYUV2}
# The protocol of a table of one's own that names none: by data set, else that of the small images
# that most tables are on. Images of 224 pixels are cropped from larger ones.
DEFAULT = "review"
DEFAULT_OF = {
    "cityscapes": "cityscapes",
    "camvid": "camvid",
    "nyuv2": "nyuv2",
    "nyuv2_labelled": "nyuv2",
    **dict.fromkeys(("imagenet", "tinyimagenet-224", "cifar100-224"), "imagenet"),
}
# Searches under the protocol of a table of one's own: a sixth of the training's length.
SEARCH_PROTOCOLS = {
    "crd": replace(CRD.shortened(40), name="crd search"),
    "review": DISTPRO_SEARCH,
    "dfa cifar": DFA_SEARCH,
    "dfa cinic": DFA_CINIC_SEARCH,
    "sbs": SBS_SEARCH,
    "cityscapes": CITYSCAPES_SEARCH,
    "camvid": CAMVID_SEARCH,
    "nyuv2": NYUV2_SEARCH,
    "imagenet": IMAGENET_SEARCH,
    "imagenet step": IMAGENET_SEARCH,
    "imagenet deit": IMAGENET_DEIT_SEARCH,
}

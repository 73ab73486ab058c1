# What other rooms may use.
from .config_bounds import BACKBONES as BACKBONES
from .config_bounds import backbone_fields as backbone_fields
from .config_bounds import check_model as check_model
from .config_bounds import check_size as check_size
from .cytodino import CytoDinoConfig as CytoDinoConfig
from .cytodino import CytoDinoForImageClassification as CytoDinoForImageClassification
from .cytodino import build_backbone_config as build_backbone_config
from .cytodino import config_fields as config_fields
from .cytodino import model_from_config as model_from_config
from .finder_net import FinderMaps as FinderMaps
from .finder_net import FinderNet as FinderNet
from .finder_net import fuse as fuse
from .fused_dinov3 import DinoV3 as DinoV3
from .fused_dinov3 import DinoV3Shape as DinoV3Shape
from .fused_head import FusedQueryHead as FusedQueryHead
from .fused_head import QueryHeadConfig as QueryHeadConfig
from .fused_layers import ONEDNN as ONEDNN
from .fused_layers import PreloadedLinear as PreloadedLinear
from .fused_layers import strip_prefix as strip_prefix
from .resizing import off_apple_gpu as off_apple_gpu
from .resizing import resize as resize
from .torchvision_guard import (
    leave_out_broken_torchvision as leave_out_broken_torchvision,
)

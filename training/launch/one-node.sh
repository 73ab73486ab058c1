#!/usr/bin/env bash
# One machine, one or many GPUs. Killed at any moment, the same line goes on.
#   GPUS=4 bash training/launch/one-node.sh mll21-vitl16 /data/MLL runs/vitl16 --set run.batch=1
# The effective batch stays what the recipe says, so the batch of a GPU must divide its share:
# mll21-vitl16 has 4, which is 4 x 1 GPU, 2 x 2 GPUs or 1 x 4 GPUs.
set -euo pipefail

recipe=${1:?a recipe, such as mll21-vitl16}
data=${2:?the folder of the cells}
out=${3:?a folder for the run, the same one to go on}
shift 3

# Not `accelerate launch`: with the CPU it silently starts one process only.
exec torchrun --standalone --nproc_per_node "${GPUS:-1}" \
  -m napari_cytodino.training train "$recipe" --data "$data" --out "$out" "$@"

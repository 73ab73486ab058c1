#!/usr/bin/env bash
# Compare methods on the real marrow cells: bash training/results/compared/run.sh DATA OUT [--only METHOD ...]
# DATA is the folder with cells.csv and mll-marrow. All start from the demo's backbone, which has seen drawn cells only:
# no pretrained weights lie beside this repository. Small on purpose, for two CPU cores.
set -euo pipefail
data=$1 out=$2
shift 2
mkdir -p "$out"
cp -r "$data/mll-marrow" "$out/"
awk -F, 'BEGIN { print "Image Path,Label,background_group" }
  $1 == "mll-marrow" { print $1 "/" $2 "," $3 "," $4 }' "$data/cells.csv" >"$out/marrow.csv"
python -c "
from napari_cytodino import load_checkpoint
load_checkpoint('demo').model().backbone.save_pretrained('$out/backbone')"
python -m napari_cytodino.training compare mll21-vits16 --data "$out/marrow.csv" --out "$out/run" --seeds "${SEEDS:-0,1,2}" \
  --set backbone.source="$out/backbone" --set size=64 --set field_of_view=192 \
  --set 'data.classes=["BLA","EOS","LYT","MON","NGS","NIF","PMO"]' \
  --set run.epochs=2 --set lora.rank=16 --set lora.alpha=32 --set head.heads=3 "$@"

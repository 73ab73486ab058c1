"""Read the classes that ship, choose some, and use a file of your own."""

from napari_cytodino import Taxonomy

taxonomy = Taxonomy.load("mll21")
for cell in taxonomy.classes:
    lineage = taxonomy.lineage_of(cell.code).title
    print(f"{cell.code}  {cell.name:40} {lineage:34} {cell.risk}")

critical = [c.code for c in taxonomy.classes if c.risk == "critical"]
print("must not be missed:", ", ".join(critical))
print("granulocytes only:", taxonomy.subset(["NGS", "NGB", "MMZ"]).codes)

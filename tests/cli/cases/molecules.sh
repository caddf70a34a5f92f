# Files of molecules: what info says of them, and what it refuses by file and line; no device needed.
export OCL_ICD_VENDORS="$PWD/no-driver/"
pockets=$REPO/tests/golden/molcraft/pockets
bfncl info "$pockets/1hpv.sdf" --json
json kind=molecules format=SDF molecules=1 atoms=35 bonds=37 'heavy_atoms=[35,35]' elements.S=1 params=null
bfncl info "$pockets/1hpv.pdb" --json
json kind=molecules format=PDB protein.pockets=true protein.residues=198
gzip -c "$pockets/ligand_types.sdf" >types.sdf.gz
bfncl info types.sdf.gz --json
json molecules=42
bfncl info types.sdf.gz
out_has '^molecules +42'
printf '2\nwater, cut\nO 0 0 0\n' >cut.xyz
refused 4 info cut.xyz
err_has 'cut\.xyz: line [0-9]+: the file ends after 1 of 2 atoms'
sed 's/ C   0/ Xx  0/' "$pockets/1hpv.sdf" >element.sdf
refused 4 info element.sdf
err_has 'element\.sdf: line 5: "Xx" is not an element'
sed 's/   11.1690/       nan/' "$pockets/1hpv.sdf" >nan.sdf
refused 4 info nan.sdf
err_has 'line 5: coordinate x is "nan"'
: >none.sdf
refused 4 info none.sdf
err_has 'none\.sdf: holds no molecule'
{ echo 100000 && echo large && yes 'C 1 2 3' | head -100000; } >large.xyz
bfncl info large.xyz --json
json atoms=100000
sed 's/PRO A   1 /XYZ A   1 /' "$pockets/1hpv.pdb" >residue.pdb
bfncl info residue.pdb
out_has 'residue "XYZ" is none of the twenty amino acids'

# Ligands for a pocket: from PDB and SDF to SDF, where the pocket is, and inputs that are damaged or far away.
model=$REPO/tests/golden/molcraft/checkpoint.pt
receptor=$REPO/tests/golden/molcraft/pockets/synthetic.pdb
ligand=$REPO/tests/golden/molcraft/pockets/synthetic.sdf
bfncl sample "$model" --pocket "$receptor" --ligand "$ligand" -n 3 --steps 2 -o a.sdf --json
json out=a.sdf samples=3 steps=2 sampler=end_back_pmf weights=ema pocket.atoms pocket.center molecules
err_has 'averaged weights, "ema_state_dict'
[ "$(grep -c '^\$\$\$\$' a.sdf)" = 3 ] || fail "a.sdf has not three records"
grep -q '<clashes>' a.sdf && grep -q '<seed>' a.sdf || fail "a.sdf lacks properties"
bfncl sample "$model" --pocket "$receptor" --ligand "$ligand" -n 3 --steps 2 --set sample.batch=1 -o b.sdf
same a.sdf b.sdf
bfncl sample "$model" --pocket "$receptor" --ligand "$ligand" -n 1 --steps 2 --weights raw --sampler end_back_mode --atoms 7 -o c.sdf
err_has 'end_back_mode, raw weights'
sed -n 4p c.sdf | grep -q '^  7 ' || fail "not seven atoms"
point=$(sed -n 5p "$ligand" | awk '{print $1 "," $2 "," $3}')
bfncl sample "$model" --pocket "$receptor" --center "$point" --radius 12 --atoms prior -n 2 --steps 2 -o d.xyz
exists d.xyz

# samples beside real ligands, and how they fit into the pocket
bfncl convert "$model" -o m.safetensors
bfncl eval m.safetensors --samples a.sdf --data "$ligand" --pocket "$receptor" --ligand "$ligand" --json
json samples.molecules=3 pocket.without_clashes pocket.clashes pocket.distance_from_center
real=$REPO/tests/golden/molcraft/pockets/1hpv
bfncl eval m.safetensors --samples "$real.sdf" --data "$real.sdf" --pocket "$real.pdb" --ligand "$real.sdf"
out_has '^clashes, in the mean +1\.0$'
refused 2 eval m.safetensors --samples a.sdf --data "$ligand" --ligand "$ligand"
err_has 'belong to a pocket'
refused 2 eval m.safetensors --samples a.sdf --data "$ligand" --pocket "$receptor"
err_has 'where in '

# what does not go together
refused 2 sample "$model" -n 1 -o x.sdf
err_has 'for a pocket: which one'
refused 2 sample "$model" --pocket "$receptor" -n 1 -o x.sdf
err_has 'where in '
refused 2 sample "$model" --pocket "$receptor" --ligand "$ligand" --center 1,2,3 -n 1 -o x.sdf
refused 2 sample "$model" --pocket "$receptor" --center 1,2 -n 1 -o x.sdf
err_has 'x,y,z'
refused 2 sample "$model" --pocket "$receptor" --center "$point" --atoms ref -n 1 -o x.sdf
err_has 'no reference ligand'
refused 2 sample "$model" --pocket "$receptor" --ligand "$ligand" --atoms 0 -n 1 -o x.sdf
refused 2 sample "$model" --pocket "$receptor" --ligand "$ligand" -n 1 -o x.npy
trained
refused 2 sample "$run_folder" --pocket "$receptor" --ligand "$ligand" -n 1 -o x.sdf
err_has 'not made for pockets'

# what is damaged, or elsewhere
refused 4 sample "$model" --pocket "$receptor" --center 500,500,500 -n 1 -o x.sdf
err_has 'synthetic\.pdb: no residue is closer'
printf '1\nfar away\nC 900 0 0\n' >far.xyz
refused 4 sample "$model" --pocket "$receptor" --ligand far.xyz -n 1 -o x.sdf
printf '1\nunknown\nXx 0 0 0\n' >unknown.xyz
refused 4 sample "$model" --pocket "$receptor" --ligand unknown.xyz -n 1 -o x.sdf
err_has 'unknown\.xyz.*Xx'
printf '1\nnan\nC nan 0 0\n' >nan.xyz
refused 4 sample "$model" --pocket "$receptor" --ligand nan.xyz -n 1 -o x.sdf
err_has 'nan\.xyz'
printf '1\nno heavy atom\nH 0 0 0\n' >light.xyz
refused 4 sample "$model" --pocket "$receptor" --ligand light.xyz -n 1 -o x.sdf
err_has 'light\.xyz: a ligand without heavy atoms'
printf '\n\n\n  0  0  0  0  0  0  0  0  0  0999 V2000\nM  END\n$$$$\n' >none.sdf
refused 4 sample "$model" --pocket "$receptor" --ligand none.sdf -n 1 -o x.sdf
err_has 'none\.sdf'
awk 'BEGIN { print 100000; print "many"; for (i = 0; i < 100000; i++) print "C", i % 100, int(i / 100) % 100, int(i / 10000) }' >many.xyz
refused 4 sample "$model" --pocket "$receptor" --ligand many.xyz -n 1 -o x.sdf
err_has '100000 heavy atoms'
refused 4 sample "$model" --pocket "$receptor" --ligand missing.sdf -n 1 -o x.sdf
: >empty.pdb
refused 4 sample "$model" --pocket empty.pdb --ligand "$ligand" -n 1 -o x.sdf
err_has 'empty\.pdb'
sed '1,/^ATOM/s/^\(ATOM.\{26\}\).\{8\}/\1     nan/' "$receptor" >nan.pdb
refused 4 sample "$model" --pocket nan.pdb --ligand "$ligand" -n 1 -o x.sdf
err_has 'nan\.pdb: line [0-9]'
sed 's/^\(ATOM.\{72\}\).*/\1Xx/' "$receptor" >unknown.pdb
refused 4 sample "$model" --pocket unknown.pdb --ligand "$ligand" -n 1 -o x.sdf
err_has 'unknown\.pdb: line .*Xx'
# a line of 100,000 carbons: only those near the point are in the pocket
awk 'BEGIN { for (i = 0; i < 100000; i++) printf "ATOM  %5d  CA  GLY %c%4d    %8.3f   0.000   0.000  1.00  0.00           C\n", i % 100000, 65 + int(i / 5000), i % 5000, (i - 50000) * 0.015 }' >large.pdb
bfncl sample "$model" --pocket large.pdb --center 0,0,0 --radius 5 --atoms 5 -n 1 --steps 2 -o e.sdf --json
json pocket.atoms=667
absent x.sdf

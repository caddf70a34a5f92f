# Modes of the sampler, their times and ends: what is counted and said, and what is refused.
trained
for mode in ancestral end_back_fixed sde1 sde2 ode1 ode2 ode2_single sde_euler ode_euler; do
    bfncl sample "$run_folder" -n 2 --steps 2 --sampler $mode -o $mode.npy --json
    case $mode in
    ancestral | end_back_fixed) json sampler=$mode steps=2 evaluations=3 ;;
    ode2_single) json sampler=$mode steps=2 evaluations=4 ;;
    *) json sampler=$mode steps=2 evaluations=2 ;;
    esac
done
cmp -s ode1.npy sde1.npy && fail "ode1 and sde1 give the same"
bfncl sample "$run_folder" -n 2 --steps 2 --sampler auto -o few.npy --json
json sampler=ode2 auto=true
err_has 'auto: ode2 up to 15 evaluations'
same few.npy ode2.npy
bfncl sample "$run_folder" -n 1 --steps 16 --sampler auto -o many.npy --json
json sampler=sde2 evaluations=16
bfncl sample "$run_folder" -n 2 --steps 2 --sampler ode2 --grid shifted -o shifted.npy
bfncl sample "$run_folder" -n 2 --sampler ode2 --times '0.01, 0.505,1' -o listed.npy --json
json steps=2 evaluations=2
same listed.npy shifted.npy
bfncl sample "$run_folder" -n 2 --steps 2 --sampler ode2 --grid early -o early.npy
same early.npy ode2.npy
bfncl sample "$run_folder" -n 1 --steps 3 --sampler sde2 --grid uniform --set sample.last=call --json -o call.npy
json steps=3 evaluations=4
bfncl sample "$run_folder" -n 1 --steps 3 --sampler sde1 --set sample.last=state --set sample.choose=mode -o state.npy

refused 2 sample "$run_folder" --steps 0 -o x.npy
err_has '1 step or more'
refused 2 sample "$run_folder" --sampler ode2 --grid uniform -o x.npy
err_has 'ode2 cannot start at t = 0.*shifted.*sde1'
refused 2 sample "$run_folder" --sampler best -o x.npy
err_has 'ancestral.*ode2_single'
refused 2 sample "$run_folder" --grid log -o x.npy
err_has 'uniform.*early'
refused 2 sample "$run_folder" --times 0.5,0.2,1 -o x.npy
err_has 'times increase'
refused 2 sample "$run_folder" --times 0,0.5 -o x.npy
err_has 'the last time is 1'
refused 2 sample "$run_folder" --times 0,,1 -o x.npy
err_has 'no list of times'
refused 2 sample "$run_folder" --times 0,1 --grid shifted -o x.npy
refused 2 sample "$run_folder" --times 0,1 --steps 2 -o x.npy
err_has '2 times make 1 steps, and 2 are asked for'
refused 2 train "$REPO/configs/tiny.yaml" --set flow.schedule=entropy --dry-run
err_has 'flow.kind categorical'
absent x.npy

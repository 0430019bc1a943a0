module orrery/scripts/hf-ids

go 1.26.0

require orrery v0.0.0

replace orrery => ../..

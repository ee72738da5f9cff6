module anymq/bench/loadgen

go 1.22

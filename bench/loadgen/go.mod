module anymq/bench/loadgen

go 1.22

require anymq.example/measure v0.0.0

replace anymq.example/measure => ../measure

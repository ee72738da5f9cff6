module anymq.example/nsqload

go 1.26.0

require github.com/nsqio/go-nsq v1.1.0

require github.com/golang/snappy v0.0.1 // indirect

require anymq.example/measure v0.0.0

replace anymq.example/measure => ../measure

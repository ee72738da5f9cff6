module anymq.example/measure

go 1.22

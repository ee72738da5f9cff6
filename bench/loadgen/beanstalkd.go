package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"log"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"anymq.example/measure"
)

func beanstalkd() (net.Conn, *bufio.Reader) {
	connection, err := net.Dial("tcp", *addr)
	measure.Must(err)
	reader := bufio.NewReaderSize(connection, 1<<16)
	return connection, reader
}

// answer reads a line that has to begin so, and returns its last word.
func answer(reader *bufio.Reader, begin string) string {
	line, err := reader.ReadString('\n')
	measure.Must(err)
	if !strings.HasPrefix(line, begin) {
		log.Fatalf("wanted %s, got %q", begin, line)
	}
	words := strings.Fields(line)
	return words[len(words)-1]
}

// beanstalkdPut puts n jobs, window of them before their answers are read; the latency is that of a window.
func beanstalkdPut() {
	job := fmt.Appendf(nil, "put 1024 0 60 %d\r\n%s\r\n", *size, bytes.Repeat([]byte{'x'}, *size))
	var l latencies
	begin := time.Now()
	workers(*conns, func(i int) {
		connection, reader := beanstalkd()
		var waits []time.Duration
		for left := share(*n, *conns, i); left > 0; {
			some := min(*window, left)
			sent := time.Now()
			_, err := connection.Write(bytes.Repeat(job, some))
			measure.Must(err)
			for range some {
				answer(reader, "INSERTED")
			}
			waits = append(waits, time.Since(sent))
			left -= some
		}
		l.add(waits)
		measure.Must(connection.Close())
	})
	measure.Report(*n, time.Since(begin), l.all, nil)
}

// beanstalkdWork reserves and deletes until n jobs are done; the latency is that of one job.
func beanstalkdWork() {
	var l latencies
	var taken atomic.Int64
	begin := time.Now()
	workers(*conns, func(int) {
		connection, reader := beanstalkd()
		var waits []time.Duration
		for taken.Add(1) <= int64(*n) {
			sent := time.Now()
			_, err := io.WriteString(connection, "reserve\r\n")
			measure.Must(err)
			line, err := reader.ReadString('\n')
			measure.Must(err)
			words := strings.Fields(line)
			if len(words) != 3 || words[0] != "RESERVED" {
				log.Fatalf("wanted a job, got %q", line)
			}
			bytes, err := strconv.Atoi(words[2])
			measure.Must(err)
			_, err = reader.Discard(bytes + 2)
			measure.Must(err)
			_, err = io.WriteString(connection, "delete "+words[1]+"\r\n")
			measure.Must(err)
			answer(reader, "DELETED")
			waits = append(waits, time.Since(sent))
		}
		l.add(waits)
		measure.Must(connection.Close())
	})
	measure.Report(*n, time.Since(begin), l.all, nil)
}

package main

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"strings"
	"time"

	"anymq.example/measure"
)

// MQTT 3.1.1.
const (
	connect, connack, publish, puback, pubrec, pubrel, pubcomp, subscribe, pingreq = 1, 2, 3, 4, 5, 6, 7, 8, 12
	topic                                                                          = "bench/mqtt"
)

func packet(head byte, parts ...[]byte) []byte {
	length := 0
	for _, part := range parts {
		length += len(part)
	}
	bytes := []byte{head}
	for ; length > 127; length >>= 7 {
		bytes = append(bytes, byte(length)|128)
	}
	bytes = append(bytes, byte(length))
	for _, part := range parts {
		bytes = append(bytes, part...)
	}
	return bytes
}

func text(s string) []byte { return append(number(len(s)), s...) }

func number(i int) []byte { return binary.BigEndian.AppendUint16(nil, uint16(i)) }

type client struct {
	net.Conn
	in  *bufio.Reader
	buf []byte
}

func dial(id string) *client {
	conn, err := net.Dial("tcp", *addr)
	measure.Must(err)
	c := &client{Conn: conn, in: bufio.NewReaderSize(conn, 1<<14)}
	c.send(packet(connect<<4, text("MQTT"), []byte{4, 2, 1, 0x2c}, text(id)))
	c.expect(connack)
	if c.buf[1] != 0 {
		log.Fatal("CONNACK ", c.buf[1])
	}
	return c
}

func (c *client) send(bytes []byte) {
	_, err := c.Write(bytes)
	measure.Must(err)
}

// next reads a packet; its body is in buf until the next one.
func (c *client) next() byte {
	head, err := c.in.ReadByte()
	measure.Must(err)
	length := 0
	for shift := 0; ; shift += 7 {
		b, err := c.in.ReadByte()
		measure.Must(err)
		length |= int(b&127) << shift
		if b < 128 {
			break
		}
	}
	if cap(c.buf) < length {
		c.buf = make([]byte, length)
	}
	c.buf = c.buf[:length]
	_, err = io.ReadFull(c.in, c.buf)
	measure.Must(err)
	return head
}

func (c *client) expect(kind byte) {
	if head := c.next(); head>>4 != kind {
		log.Fatal("packet type ", head>>4, ", not ", kind)
	}
}

func (c *client) subscribe(name string) {
	c.send(packet(subscribe<<4|2, number(1), text(name), []byte{byte(*qos)}))
	for c.next()>>4 == publish {
	}
}

// mqttPublish: -conns publishers, -subs subscribers that each get all. With QoS 1 and 2 a publisher keeps -window messages unconfirmed.
func mqttPublish() {
	l := &latencies{}
	want := int64(*n) * int64(*subs)
	done := make(chan time.Time, 1)
	for i := range *subs {
		c := dial(fmt.Sprint("sub", i, "-", os.Getpid()))
		c.subscribe(topic)
		go c.listen(l, want, done)
	}
	begin := time.Now()
	workers(*conns, func(i int) { dial(fmt.Sprint("pub", i, "-", os.Getpid())).publish(share(*n, *conns, i)) })
	end := time.Now()
	lost := int64(0)
	if *subs > 0 {
		select {
		case end = <-done:
		case <-time.After(10 * time.Second):
			lost = want - received.Load()
			end = time.Now().Add(-10 * time.Second)
		}
	} else {
		want = int64(*n)
	}
	measure.Report(int(want-lost), end.Sub(begin), l.all, map[string]any{"lost": lost})
}

func (c *client) listen(l *latencies, want int64, done chan<- time.Time) {
	var out []byte
	var took []time.Duration
	for {
		head := c.next()
		switch head >> 4 {
		case pubrel:
			out = append(out, packet(pubcomp<<4, c.buf[:2])...)
		case publish:
			at := 2 + int(binary.BigEndian.Uint16(c.buf))
			switch head >> 1 & 3 {
			case 1:
				out = append(out, packet(puback<<4, c.buf[at:at+2])...)
				at += 2
			case 2:
				out = append(out, packet(pubrec<<4, c.buf[at:at+2])...)
				at += 2
			}
			took = append(took, time.Duration(time.Now().UnixNano()-int64(binary.LittleEndian.Uint64(c.buf[at:]))))
			if len(took) == *n {
				l.add(took)
			}
			if received.Add(1) == want {
				done <- time.Now()
			}
		}
		if len(out) > 0 && (c.in.Buffered() < 2 || len(out) > 4000) {
			c.send(out)
			out = out[:0]
		}
	}
}

func (c *client) publish(count int) {
	free := make(chan struct{}, *window)
	confirmed := make(chan struct{})
	releases := make(chan []byte, *window)
	if *qos > 0 {
		go c.confirm(count, free, releases, confirmed)
	}
	out := bufio.NewWriterSize(c, 1<<15)
	payload := make([]byte, *size)
	begin := time.Now()
	for i := range count {
		pace(begin, i)
		binary.LittleEndian.PutUint64(payload, uint64(time.Now().UnixNano()))
		if *qos == 0 {
			out.Write(packet(publish<<4, text(topic), payload))
		} else {
			for taken := false; !taken; {
				select {
				case release := <-releases:
					out.Write(release)
				case free <- struct{}{}:
					taken = true
				default:
					measure.Must(out.Flush())
					select {
					case release := <-releases:
						out.Write(release)
					case free <- struct{}{}:
						taken = true
					}
				}
			}
			out.Write(packet(byte(publish<<4|*qos<<1), text(topic), number(i%60000+1), payload))
		}
		if *rate > 0 {
			measure.Must(out.Flush())
		}
	}
	measure.Must(out.Flush())
	if *qos == 0 {
		// The answer to a ping comes after all that was sent before it.
		c.send(packet(pingreq << 4))
		c.next()
		return
	}
	for {
		select {
		case release := <-releases:
			c.send(release)
		case <-confirmed:
			return
		}
	}
}

// confirm reads answers until all messages have theirs.
func (c *client) confirm(count int, free chan struct{}, releases chan<- []byte, confirmed chan<- struct{}) {
	for left := count; left > 0; {
		switch head := c.next(); head >> 4 {
		case pubrec:
			releases <- packet(pubrel<<4|2, c.buf[:2])
		case puback, pubcomp:
			<-free
			left--
		default:
			log.Fatal("packet type ", head>>4)
		}
	}
	close(confirmed)
}

// mqttIdle: -n connections, each subscribed to a topic of its own, and what they cost.
func mqttIdle() {
	before := residentKiB()
	begin := time.Now()
	clients := make([]*client, *n)
	workers(50, func(i int) {
		for k := i; k < *n; k += 50 {
			clients[k] = dial(fmt.Sprint("idle", k))
			clients[k].subscribe(fmt.Sprint("idle/", k))
		}
	})
	took := time.Since(begin)
	time.Sleep(*hold)
	measure.Report(*n, took, nil, map[string]any{"kibibytesEach": float64(residentKiB()-before) / float64(*n)})
	for _, c := range clients {
		c.Close()
	}
}

func residentKiB() int {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", *pid))
	measure.Must(err)
	for _, line := range strings.Split(string(status), "\n") {
		kib := 0
		if count, _ := fmt.Sscanf(line, "VmRSS: %d", &kib); count == 1 {
			return kib
		}
	}
	log.Fatal("no VmRSS of process ", *pid)
	return 0
}

// go-beanstalk: several tubes at once, priorities, releases, burying, errors.
package main

import (
	"context"
	"errors"
	"os"
	"strconv"
	"time"

	"anymq.example/interop/cases"
	"github.com/beanstalkd/go-beanstalk"
)

const wait = 5 * time.Second

func connect() *beanstalk.Conn {
	connection, err := beanstalk.Dial("tcp", os.Getenv("BEANSTALKD"))
	cases.Must(err)
	return connection
}

func is(err error, kind error) {
	var of beanstalk.ConnError
	if !errors.As(err, &of) || of.Err != kind {
		panic("not " + kind.Error())
	}
}

func main() {
	cases.Run([]cases.Case{
		{Name: "one order over several tubes", Body: func(ctx context.Context) error {
			connection := connect()
			defer connection.Close()
			first, second := beanstalk.NewTube(connection, cases.Unique("go")), beanstalk.NewTube(connection, cases.Unique("go"))
			for i := 9; i >= 0; i-- {
				tube := first
				if i%2 == 0 {
					tube = second
				}
				_, err := tube.Put([]byte(strconv.Itoa(i)), uint32(i), 0, time.Minute)
				cases.Must(err)
			}
			set := beanstalk.NewTubeSet(connection, first.Name, second.Name)
			for i := 0; i < 10; i++ {
				id, body, err := set.Reserve(wait)
				cases.Must(err)
				cases.Equal(string(body), strconv.Itoa(i), "body")
				cases.Must(connection.Delete(id))
			}
			_, _, err := set.Reserve(0)
			is(err, beanstalk.ErrTimeout)
			return nil
		}},
		{Name: "released, buried, kicked, touched", Body: func(ctx context.Context) error {
			connection := connect()
			defer connection.Close()
			tube := beanstalk.NewTube(connection, cases.Unique("go"))
			set := beanstalk.NewTubeSet(connection, tube.Name)
			put, err := tube.Put([]byte("job"), 1, 0, time.Minute)
			cases.Must(err)
			id, _, err := set.Reserve(wait)
			cases.Must(err)
			cases.Equal(id, put, "id")
			cases.Must(connection.Touch(id))
			cases.Must(connection.Release(id, 7, 0))
			stats, err := connection.StatsJob(id)
			cases.Must(err)
			cases.Equal(stats["pri"], "7", "priority")
			_, _, err = set.Reserve(wait)
			cases.Must(err)
			cases.Must(connection.Bury(id, 3))
			buried, body, err := tube.PeekBuried()
			cases.Must(err)
			cases.Equal(buried, id, "buried")
			cases.Equal(string(body), "job", "body")
			kicked, err := tube.Kick(5)
			cases.Must(err)
			cases.Equal(kicked, 1, "kicked")
			cases.Must(connection.Delete(id))
			is(connection.Delete(id), beanstalk.ErrNotFound)
			return nil
		}},
		{Name: "what a connection has comes back when it is closed", Body: func(ctx context.Context) error {
			one, other := connect(), connect()
			defer other.Close()
			tube := beanstalk.NewTube(one, cases.Unique("go"))
			_, err := tube.Put([]byte("x"), 1, 0, time.Minute)
			cases.Must(err)
			id, _, err := beanstalk.NewTubeSet(one, tube.Name).Reserve(wait)
			cases.Must(err)
			cases.Must(one.Close())
			again, _, err := beanstalk.NewTubeSet(other, tube.Name).Reserve(wait)
			cases.Must(err)
			cases.Equal(again, id, "id")
			return nil
		}},
	})
}

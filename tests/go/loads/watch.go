// SPDX-License-Identifier: Apache-2.0

package loads

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
)

// watchOn opens a stream with a watcher for each key, and calls heard with each event's value.
func watchOn(ctx context.Context, connection *grpc.ClientConn, keys []string, heard func(value []byte)) error {
	stream, err := etcdserverpb.NewWatchClient(connection).Watch(ctx)
	if err != nil {
		return err
	}
	go func() {
		for _, key := range keys {
			create := &etcdserverpb.WatchCreateRequest{Key: []byte(key)}
			request := &etcdserverpb.WatchRequest{RequestUnion: &etcdserverpb.WatchRequest_CreateRequest{CreateRequest: create}}
			if stream.Send(request) != nil {
				return
			}
		}
	}()
	created := make(chan struct{})
	go func() {
		for missing := len(keys); ; {
			response, err := stream.Recv()
			if err != nil {
				return
			}
			if response.Created {
				if missing--; missing == 0 {
					close(created)
				}
			}
			for _, event := range response.Events {
				heard(event.Kv.Value)
			}
		}
	}()
	select {
	case <-created:
		return nil
	case <-time.After(2 * time.Minute):
		return fmt.Errorf("%d watchers were not created in two minutes", len(keys))
	}
}

func runWatchOne(ctx context.Context, server Server, scale Scale) ([]Figure, error) {
	client, err := connect(server)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	watchers := scale.of(1000)
	var heard atomic.Int64
	keys := make([]string, 10)
	for i := range keys {
		keys[i] = "watched"
	}
	for at := 0; at < watchers; at += len(keys) {
		connection, err := dial(server)
		if err != nil {
			return nil, err
		}
		defer connection.Close()
		if err := watchOn(ctx, connection, keys, func([]byte) { heard.Add(1) }); err != nil {
			return nil, err
		}
	}
	puts := 0
	began := time.Now()
	for time.Since(began) < 4*time.Second {
		if _, err := client.Put(ctx, "watched", "value"); err != nil {
			return nil, err
		}
		puts++
	}
	wanted := int64(puts) * int64((watchers+len(keys)-1)/len(keys)*len(keys))
	for heard.Load() < wanted && time.Since(began) < time.Minute {
		time.Sleep(time.Millisecond)
	}
	took := time.Since(began).Seconds()
	if heard.Load() != wanted {
		return nil, fmt.Errorf("of %d events %d came", wanted, heard.Load())
	}
	return []Figure{{"events", float64(wanted) / took, "/s"}, {"puts beside", float64(puts) / took, "/s"}}, nil
}

func runWatchMany(ctx context.Context, server Server, scale Scale) ([]Figure, error) {
	client, err := connect(server)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	const perStream = 1000
	streams := max(1, scale.of(100_000)/perStream)
	latencies := make(chan time.Duration, 4096)
	before := server.memory("VmRSS")
	began := time.Now()
	connection, err := dial(server)
	if err != nil {
		return nil, err
	}
	defer connection.Close()
	for s := range streams {
		keys := make([]string, perStream)
		for i := range keys {
			keys[i] = fmt.Sprintf("many/%06d", s*perStream+i)
		}
		if err := watchOn(ctx, connection, keys, func(value []byte) {
			sent, _ := strconv.ParseInt(string(value), 10, 64)
			latencies <- time.Duration(time.Now().UnixNano() - sent)
		}); err != nil {
			return nil, err
		}
	}
	created := time.Since(began).Seconds()
	each := (server.memory("VmRSS") - before) / float64(streams*perStream)
	const puts = 1000
	var all []time.Duration
	for range puts {
		key := fmt.Sprintf("many/%06d", rand.IntN(streams*perStream))
		if _, err := client.Put(ctx, key, strconv.FormatInt(time.Now().UnixNano(), 10)); err != nil {
			return nil, err
		}
		select {
		case latency := <-latencies:
			all = append(all, latency)
		case <-time.After(5 * time.Second):
			return nil, fmt.Errorf("a put of %s was not heard of in five seconds", key)
		}
	}
	return []Figure{{"watchers made", float64(streams*perStream) / created, "/s"}, {"memory a watcher", each, "B"},
		{"put to event p50", percentile(all, 0.5), "ms"}, {"put to event p99", percentile(all, 0.99), "ms"}}, nil
}

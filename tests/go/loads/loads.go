// SPDX-License-Identifier: Apache-2.0

// Package loads puts what etcd's clients do all day on a server, ours or etcd's, and measures it:
// watches, lease keep-alives, transactions, large ranges, compaction and defragmentation.
package loads

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// Server is one member under load.
type Server struct {
	Name     string
	Endpoint string
	Pid      int
}

// Figure is one number that a load gave.
type Figure struct {
	Name  string
	Value float64
	Unit  string
}

// Scale makes the loads as large as the issue asks for (1), or smaller.
type Scale float64

func (s Scale) of(n int) int { return max(1, int(float64(n)*float64(s))) }

// Load is a name, what it does in words, and how it is run.
type Load struct {
	Name string
	What string
	Run  func(ctx context.Context, server Server, scale Scale) ([]Figure, error)
}

// All of them, in the order in which they run: those that fill the server last.
var All = []Load{
	{"txn", "64 clients compare a key's revision and put", runTxn},
	{"watch-one", "1,000 watchers on one key, put again and again", runWatchOne},
	{"watch-many", "100,000 watchers on different keys: memory, and how soon one hears", runWatchMany},
	{"keep-alive", "10,000 leases kept alive over 8 streams", runKeepAlive},
	{"ranges", "32 ranges of 30 MB at once", runRanges},
	{"streams", "5 range streams of 1 GB at once", runStreams},
	{"compact", "4 GB of versions compacted and defragmented under load", runCompact},
}

func dial(server Server) (*grpc.ClientConn, error) {
	return grpc.NewClient(server.Endpoint, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(1<<30)))
}

// memory is a line of /proc/PID/status, in bytes.
func (s Server) memory(line string) float64 {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.Pid))
	if err != nil {
		return 0
	}
	for _, text := range strings.Split(string(status), "\n") {
		if rest, ok := strings.CutPrefix(text, line+":"); ok {
			kib, _ := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return kib * 1024
		}
	}
	return 0
}

// peak runs what is given and returns how far the server's memory rose above what it was.
func (s Server) peak(what func() error) (float64, error) {
	before := s.memory("VmRSS")
	var highest atomic.Int64
	stop := make(chan struct{})
	var looking sync.WaitGroup
	looking.Add(1)
	go func() {
		defer looking.Done()
		for {
			highest.Store(max(highest.Load(), int64(s.memory("VmRSS"))))
			select {
			case <-stop:
				return
			case <-time.After(10 * time.Millisecond):
			}
		}
	}()
	err := what()
	close(stop)
	looking.Wait()
	return float64(highest.Load()) - before, err
}

func percentile(latencies []time.Duration, part float64) float64 {
	if len(latencies) == 0 {
		return 0
	}
	sort.Slice(latencies, func(i, j int) bool { return latencies[i] < latencies[j] })
	return float64(latencies[min(len(latencies)-1, int(part*float64(len(latencies))))]) / 1e6
}

// fill writes `count` values of `size` bytes under prefix + number.
func fill(ctx context.Context, client *clientv3.Client, prefix string, count, size int) error {
	value := string(bytes.Repeat([]byte("v"), size))
	var next atomic.Int64
	errors := make(chan error, 16)
	for range 16 {
		go func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= count {
					errors <- nil
					return
				}
				if _, err := client.Put(ctx, fmt.Sprintf("%s%08d", prefix, i), value); err != nil {
					errors <- err
					return
				}
			}
		}()
	}
	var failed error
	for range 16 {
		if err := <-errors; err != nil {
			failed = err
		}
	}
	return failed
}

// timed lets `clients` run `call` for the time given and returns calls a second and latencies.
func timed(ctx context.Context, clients int, duration time.Duration, call func(ctx context.Context, client int) error) (float64, []time.Duration, error) {
	var mutex sync.Mutex
	var all []time.Duration
	var failed error
	var group sync.WaitGroup
	until := time.Now().Add(duration)
	for i := range clients {
		group.Add(1)
		go func() {
			defer group.Done()
			var own []time.Duration
			for time.Now().Before(until) && ctx.Err() == nil {
				began := time.Now()
				if err := call(ctx, i); err != nil {
					mutex.Lock()
					failed = err
					mutex.Unlock()
					return
				}
				own = append(own, time.Since(began))
			}
			mutex.Lock()
			all = append(all, own...)
			mutex.Unlock()
		}()
	}
	group.Wait()
	return float64(len(all)) / duration.Seconds(), all, failed
}

func connect(server Server) (*clientv3.Client, error) {
	return clientv3.New(clientv3.Config{Endpoints: []string{server.Endpoint}, DialTimeout: 5 * time.Second,
		MaxCallRecvMsgSize: 1 << 30, Logger: zap.NewNop()})
}

func runTxn(ctx context.Context, server Server, _ Scale) ([]Figure, error) {
	client, err := connect(server)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	revisions := make([]int64, 64)
	rate, latencies, err := timed(ctx, len(revisions), 4*time.Second, func(ctx context.Context, i int) error {
		key := fmt.Sprintf("txn/%d", i)
		answer, err := client.Txn(ctx).If(clientv3.Compare(clientv3.ModRevision(key), "=", revisions[i])).
			Then(clientv3.OpPut(key, "value")).Else(clientv3.OpGet(key)).Commit()
		if err != nil {
			return err
		}
		if !answer.Succeeded {
			return fmt.Errorf("%s was changed by nobody and is not as it was", key)
		}
		revisions[i] = answer.Header.Revision
		return nil
	})
	return []Figure{{"txn", rate, "/s"}, {"txn p50", percentile(latencies, 0.5), "ms"}, {"txn p99", percentile(latencies, 0.99), "ms"}}, err
}

func runKeepAlive(ctx context.Context, server Server, scale Scale) ([]Figure, error) {
	client, err := connect(server)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	leases := make([]int64, scale.of(10_000))
	var next atomic.Int64
	if _, _, err = timed(ctx, 32, time.Hour, func(ctx context.Context, _ int) error {
		i := int(next.Add(1)) - 1
		if i >= len(leases) {
			return io.EOF
		}
		grant, err := client.Grant(ctx, 600)
		if err == nil {
			leases[i] = int64(grant.ID)
		}
		return err
	}); err != io.EOF {
		return nil, err
	}
	connection, err := dial(server)
	if err != nil {
		return nil, err
	}
	defer connection.Close()
	patience, cancel := context.WithTimeout(ctx, 4*time.Second)
	defer cancel()
	var answered atomic.Int64
	began := time.Now()
	var group sync.WaitGroup
	for range 8 {
		stream, err := etcdserverpb.NewLeaseClient(connection).LeaseKeepAlive(patience)
		if err != nil {
			return nil, err
		}
		// So many are on their way at once.
		room := make(chan struct{}, 256)
		group.Add(2)
		go func() {
			defer group.Done()
			for patience.Err() == nil {
				select {
				case room <- struct{}{}:
				case <-patience.Done():
					return
				}
				if stream.Send(&etcdserverpb.LeaseKeepAliveRequest{ID: leases[rand.IntN(len(leases))]}) != nil {
					return
				}
			}
		}()
		go func() {
			defer group.Done()
			for {
				answer, err := stream.Recv()
				if err != nil {
					return
				}
				if answer.TTL > 0 {
					answered.Add(1)
				}
				<-room
			}
		}()
	}
	group.Wait()
	return []Figure{{"keep-alives", float64(answered.Load()) / time.Since(began).Seconds(), "/s"}}, nil
}

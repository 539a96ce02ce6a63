// SPDX-License-Identifier: Apache-2.0

package loads

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

const valueBytes = 100 << 10

// together runs n of the same at once and returns the first error.
func together(n int, what func(i int) error) error {
	var group sync.WaitGroup
	errors := make([]error, n)
	for i := range n {
		group.Add(1)
		go func() {
			defer group.Done()
			errors[i] = what(i)
		}()
	}
	group.Wait()
	for _, err := range errors {
		if err != nil {
			return err
		}
	}
	return nil
}

func runRanges(ctx context.Context, server Server, scale Scale) ([]Figure, error) {
	client, err := connect(server)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	count := scale.of(30 << 20 / valueBytes)
	if err := fill(ctx, client, "range/", count, valueBytes); err != nil {
		return nil, err
	}
	began := time.Now()
	rise, err := server.peak(func() error {
		return together(32, func(int) error {
			own, err := connect(server)
			if err != nil {
				return err
			}
			defer own.Close()
			got, err := own.Get(ctx, "range/", clientv3.WithPrefix())
			if err == nil && len(got.Kvs) != count {
				err = fmt.Errorf("a range of %d keys has %d", count, len(got.Kvs))
			}
			return err
		})
	})
	took := time.Since(began).Seconds()
	return []Figure{{"32 ranges", took, "s"}, {memoryRise, rise / (1 << 20), "MiB"}}, err
}

func runStreams(ctx context.Context, server Server, scale Scale) ([]Figure, error) {
	client, err := connect(server)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	count := scale.of(1 << 30 / valueBytes)
	if err := fill(ctx, client, "stream/", count, valueBytes); err != nil {
		return nil, err
	}
	began := time.Now()
	rise, err := server.peak(func() error {
		return together(5, func(int) error {
			connection, err := dial(server)
			if err != nil {
				return err
			}
			defer connection.Close()
			stream, err := etcdserverpb.NewKVClient(connection).RangeStream(ctx,
				&etcdserverpb.RangeRequest{Key: []byte("stream/"), RangeEnd: []byte("stream0")})
			if err != nil {
				return err
			}
			keys := 0
			for {
				chunk, err := stream.Recv()
				if err == io.EOF {
					break
				}
				if err != nil {
					return err
				}
				keys += len(chunk.RangeResponse.Kvs)
			}
			if keys != count {
				return fmt.Errorf("a stream of %d keys has %d", count, keys)
			}
			return nil
		})
	})
	took := time.Since(began).Seconds()
	bytes := float64(5*count*valueBytes) / (1 << 20)
	return []Figure{{"5 streams", bytes / took, "MiB/s"}, {memoryRise, rise / (1 << 20), "MiB"}}, err
}

// runCompact overwrites keys until so many bytes of versions are there, then compacts and
// defragments them while others write: the longest that a write took is what counts.
func runCompact(ctx context.Context, server Server, scale Scale) ([]Figure, error) {
	client, err := connect(server)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	const size = 16 << 10
	versions := scale.of(4 << 30 / size)
	for done := 0; done < versions; done += 2000 {
		if err := fill(ctx, client, "compact/", 2000, size); err != nil {
			return nil, err
		}
	}
	longest := func(during func() error) (float64, error) {
		ended := make(chan error, 1)
		quiet, cancel := context.WithCancel(ctx)
		go func() {
			err := during()
			// What it leaves behind belongs to it.
			time.Sleep(3 * time.Second)
			cancel()
			ended <- err
		}()
		_, latencies, err := timed(quiet, 8, 10*time.Minute, func(call context.Context, i int) error {
			_, err := client.Put(call, fmt.Sprintf("beside/%d", i), "v")
			if call.Err() != nil {
				return nil
			}
			return err
		})
		if err == nil {
			err = <-ended
		}
		return percentile(latencies, 1), err
	}
	calm, err := longest(func() error { return nil })
	if err != nil {
		return nil, err
	}
	got, err := client.Get(ctx, "compact")
	if err != nil {
		return nil, err
	}
	began := time.Now()
	compacting, err := longest(func() error {
		_, err := client.Compact(ctx, got.Header.Revision, clientv3.WithCompactPhysical())
		return err
	})
	if err != nil {
		return nil, err
	}
	took := time.Since(began).Seconds() - 3
	defragmenting, err := longest(func() error {
		_, err := client.Defragment(ctx, server.Endpoint)
		return err
	})
	return []Figure{{"longest put, nothing beside", calm, "ms"}, {"longest put while compacting", compacting, "ms"},
		{"compaction", took, "s"}, {"longest put while defragmenting", defragmenting, "ms"},
		{pauseOfCompaction, max(0, compacting-calm), "ms"},
		{pauseOfDefragmentation, max(0, defragmenting-calm), "ms"}}, err
}

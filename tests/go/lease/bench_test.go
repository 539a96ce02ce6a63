// SPDX-License-Identifier: Apache-2.0

package lease

import (
	"context"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"datum.dev/tests/launcher"
)

// Keep-alives a second over three members: 10,000 leases on 12 streams, each with 500 on their way.
func BenchmarkKeepAlives(b *testing.B) {
	const streams, leases, window = 12, 10_000, 500
	cluster := launcher.ForTest(b, 3)
	ctx := context.Background()
	client, err := launcher.Connect(cluster.Endpoints()...)
	if err != nil {
		b.Fatal(err)
	}
	defer client.Close()
	ids := make([]int64, leases)
	granted := make(chan error, 50)
	for worker := 0; worker < cap(granted); worker++ {
		go func() {
			for i := worker; i < leases; i += cap(granted) {
				grant, err := client.Grant(ctx, 600)
				if err != nil {
					granted <- err
					return
				}
				ids[i] = int64(grant.ID)
			}
			granted <- nil
		}()
	}
	for worker := 0; worker < cap(granted); worker++ {
		if err := <-granted; err != nil {
			b.Fatal(err)
		}
	}
	b.ResetTimer()
	ended := make(chan error, streams)
	for number := 0; number < streams; number++ {
		own, err := launcher.Connect(cluster.Member(number % 3).Endpoint())
		if err != nil {
			b.Fatal(err)
		}
		defer own.Close()
		go func() { ended <- keepAlive(ctx, own, ids, number, b.N/streams+1, window) }()
	}
	for number := 0; number < streams; number++ {
		if err := <-ended; err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "keep-alives/s")
}

func keepAlive(ctx context.Context, client *clientv3.Client, ids []int64, first, count,
	window int) error {
	stream, err := pb.NewLeaseClient(client.ActiveConnection()).LeaseKeepAlive(ctx)
	if err != nil {
		return err
	}
	room := make(chan struct{}, window)
	go func() {
		for i := 0; i < count; i++ {
			room <- struct{}{}
			_ = stream.Send(&pb.LeaseKeepAliveRequest{ID: ids[(first*997+i)%len(ids)]})
		}
	}()
	for i := 0; i < count; i++ {
		if _, err := stream.Recv(); err != nil {
			return err
		}
		<-room
	}
	return stream.CloseSend()
}

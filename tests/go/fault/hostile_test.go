// SPDX-License-Identifier: Apache-2.0

package fault

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math/rand"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"datum.dev/tests/launcher"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// What is sent and received as it is.
type bytesCodec struct{}

func (bytesCodec) Marshal(v any) ([]byte, error)      { return *v.(*[]byte), nil }
func (bytesCodec) Unmarshal(data []byte, v any) error { *v.(*[]byte) = data; return nil }
func (bytesCodec) Name() string                       { return "proto" }

func dialPeer(t *testing.T, member *launcher.Member) *grpc.ClientConn {
	t.Helper()
	connection, err := grpc.NewClient(strings.TrimPrefix(member.PeerURL, "http://"),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodec(bytesCodec{}),
			grpc.MaxCallSendMsgSize(1<<31-1)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { connection.Close() })
	return connection
}

// peerStream sends `bodies` on one stream of Raft's and returns how that ended.
func peerStream(t *testing.T, member *launcher.Member, said metadata.MD, bodies [][]byte) error {
	ctx := metadata.NewOutgoingContext(within(t, 20*time.Second), said)
	stream, err := dialPeer(t, member).NewStream(ctx,
		&grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, "/datum.Peer/Messages")
	if err != nil {
		return err
	}
	for i := range bodies {
		if stream.SendMsg(&bodies[i]) != nil {
			break // RecvMsg says why
		}
	}
	if err := stream.CloseSend(); err != nil {
		return err
	}
	var answer []byte
	return stream.RecvMsg(&answer)
}

func frame(body []byte) []byte {
	return append(binary.LittleEndian.AppendUint32(nil, uint32(len(body))), body...)
}

// Bodies that are no messages: noise, frames that are cut, frames of noise, of noise whose checksum
// is right, and frames that say that they are 4 GiB long.
func noise(random *rand.Rand) [][]byte {
	var bodies [][]byte
	for i := 0; i < 200; i++ {
		body := make([]byte, random.Intn(2000))
		random.Read(body)
		sum := crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli))
		summed := append(binary.LittleEndian.AppendUint32(nil, sum), body...)
		bodies = append(bodies, frame(body), frame(summed), append(frame(summed), frame(nil)...))
	}
	return append(bodies, append([]byte{0xff, 0xff, 0xff, 0xff}, make([]byte, 100)...))
}

func residentMiB(t *testing.T, member *launcher.Member) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", member.Pid()))
	if err != nil {
		t.Fatalf("%s is gone: %v\n%s", member.Name, err, member.LogTail(20))
	}
	kibi := regexp.MustCompile(`VmRSS:\s+(\d+)`).FindSubmatch(text)
	n, _ := strconv.Atoi(string(kibi[1]))
	return n / 1024
}

// serves fails unless the member, still the same process, takes a write and a read.
func (d *damaged) serves(member *launcher.Member, pid int) {
	d.t.Helper()
	client, err := launcher.Connect(member.Endpoint())
	d.must(err)
	defer client.Close()
	d.must(untilDone(within(d.t, 20*time.Second), func(ctx context.Context) error {
		if _, err := client.Put(ctx, "serves", "1"); err != nil {
			return err
		}
		_, err := client.Get(ctx, "serves")
		return err
	}))
	if member.Pid() != pid {
		d.t.Fatalf("%s is another process:\n%s", member.Name, member.LogTail(20))
	}
}

// What anybody can send to the peer port: it is refused, or ends its stream, and nothing else.
func TestNoiseOnThePeerPort(t *testing.T) {
	d := startDamaged(t)
	d.put(10)
	member, other := d.Member(0), d.Member(1)
	pid := member.Pid()
	var id, otherID, cluster uint64
	d.must(d.ask(member, func(status *clientv3.StatusResponse) {
		id, cluster = status.Header.MemberId, status.Header.ClusterId
	}))
	d.must(d.ask(other, func(status *clientv3.StatusResponse) { otherID = status.Header.MemberId }))
	hex := func(n uint64) string { return strconv.FormatUint(n, 16) }
	bodies := noise(rand.New(rand.NewSource(1)))
	said := metadata.Pairs("datum-cluster", hex(cluster), "datum-from", hex(otherID),
		"datum-to", hex(id))
	for _, wrong := range []string{"datum-cluster", "datum-to", "datum-from"} {
		lie := said.Copy()
		lie.Set(wrong, "77")
		if wrong == "datum-from" {
			lie.Set(wrong, "no number")
		}
		if err := peerStream(t, member, lie, bodies); status.Code(err) != codes.FailedPrecondition {
			t.Errorf("with a wrong %s: %v", wrong, err)
		}
	}
	// In a member's name, and in that of one who may have been added a moment ago.
	if err := peerStream(t, member, said, bodies); status.Code(err) != codes.FailedPrecondition {
		t.Errorf("in a member's name and without its directory's: %v", err)
	}
	said.Set("datum-from", "abcdef")
	for i := 0; i < len(bodies); i += 50 {
		_ = peerStream(t, member, said, bodies[i:min(i+50, len(bodies))])
		d.serves(member, pid)
	}
}

func (d *damaged) ask(member *launcher.Member, take func(*clientv3.StatusResponse)) error {
	client, err := launcher.Connect(member.Endpoint())
	if err != nil {
		return err
	}
	defer client.Close()
	answer, err := client.Status(within(d.t, 10*time.Second), member.Endpoint())
	if err == nil {
		take(answer)
	}
	return err
}

// grpc++ refuses a body that is too large only when it has all of it, so what it may hold at all is
// the limit: beyond it calls are ended, the members' own among them, which begin again at once.
func TestHugeBodiesOnThePeerPort(t *testing.T) {
	const quotaMiB = 256
	d := startDamaged(t, fmt.Sprintf("--rpc-memory-bytes=%d", quotaMiB<<20))
	member := d.Member(0)
	pid := member.Pid()
	before := residentMiB(t, member)
	huge := make([]byte, 700<<20)
	var all sync.WaitGroup
	for i := 0; i < 4; i++ {
		connection := dialPeer(t, member)
		all.Add(1)
		go func() {
			defer all.Done()
			var answer []byte
			err := connection.Invoke(within(t, 30*time.Second), "/datum.Peer/Introduce", &huge, &answer)
			if err == nil {
				t.Error("a body of 700 MiB is taken")
			}
		}()
	}
	done := make(chan struct{})
	go func() { all.Wait(); close(done) }()
	most := before
	for waits := true; waits; {
		select {
		case <-done:
			waits = false
		case <-time.After(20 * time.Millisecond):
			most = max(most, residentMiB(t, member))
		}
	}
	t.Logf("%d MiB before, %d MiB at most", before, most)
	if most > before+2*quotaMiB {
		t.Errorf("%d MiB before, %d MiB at most", before, most)
	}
	d.serves(member, pid)
}

// More connections than the process has descriptors, idle and half spoken, on both ports: members
// and who was connected go on, and when the flood is over all are let in again (grpc++'s own
// listener is deaf for ever once accept has failed).
func TestAFloodOfConnections(t *testing.T) {
	directory := t.TempDir()
	few := filepath.Join(directory, "few_descriptors")
	script := "#!/bin/sh\nulimit -n 1024\nexec " + os.Getenv(launcher.ServerVariable) + ` "$@"` + "\n"
	if err := os.WriteFile(few, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	cluster, err := launcher.StartWith(launcher.Options{Members: 3, Binary: few})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	d := &damaged{Cluster: cluster, t: t, promised: map[string]string{}}
	d.put(10)
	member := d.Member(0)
	pid := member.Pid()
	greeting := []byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00")
	for _, url := range []string{member.ClientURL, member.PeerURL} {
		early, err := launcher.Connect(member.Endpoint())
		d.must(err)
		_, err = early.Put(within(t, 10*time.Second), "early", "1")
		d.must(err)
		var flood []net.Conn
		for i := 0; i < 2000; i++ {
			connection, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
			d.must(err)
			flood = append(flood, connection)
			if i%2 == 0 {
				_, _ = connection.Write(greeting[:1+i%len(greeting)])
			}
		}
		_, err = early.Put(within(t, 10*time.Second), "early", "2")
		d.must(err)
		d.put(10)
		for _, connection := range flood {
			connection.Close()
		}
		early.Close()
		d.serves(member, pid)
		// Members too.
		other := d.Member(1)
		d.must(other.Kill9())
		d.must(other.Restart())
		d.serves(other, other.Pid())
	}
	d.said(member, `too many connections`)
}

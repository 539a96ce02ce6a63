// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"regexp"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"datum.dev/tests/launcher"
)

var residentLine = regexp.MustCompile(`(?m)^VmRSS:\s+(\d+) kB$`)

func residentBytes(t *testing.T, pid int) int64 {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	match := residentLine.FindSubmatch(status)
	if match == nil {
		t.Fatalf("no VmRSS in %s", status)
	}
	kilobytes, err := strconv.ParseInt(string(match[1]), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return kilobytes << 10
}

// A snapshot streams without growing the server by 64 MB, however large the state is.
func TestStreamingTakesNoMemory(t *testing.T) {
	const limit, valueBytes = 64 << 20, 1 << 20
	values := number(t, "DATUM_BACKUP_STREAM_MB", 64)
	cluster := start(t, launcher.Options{Members: 1, Binary: variable(t, launcher.ServerVariable),
		Flags: []string{fmt.Sprintf("--quota-backend-bytes=%d", int64(values+1024)<<20)}})
	client := connect(t, cluster)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Minute)
	defer cancel()
	// What compresses would not be as large on disk as it is.
	random := rand.NewChaCha8([32]byte{1})
	value := make([]byte, valueBytes)
	for i := 0; i < values; i++ {
		if _, err := random.Read(value); err != nil {
			t.Fatal(err)
		}
		if _, err := client.Put(ctx, fmt.Sprintf("large/%06d", i), string(value)); err != nil {
			t.Fatal(err)
		}
	}
	pid := cluster.Member(0).Pid()
	before := residentBytes(t, pid)
	var most atomic.Int64
	watched, stop := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(watched)
		for {
			most.Store(max(most.Load(), residentBytes(t, pid)))
			select {
			case <-stop:
				return
			case <-time.After(10 * time.Millisecond):
			}
		}
	}()
	began := time.Now()
	stream, err := client.Snapshot(ctx)
	if err != nil {
		t.Fatal(err)
	}
	size, err := io.Copy(io.Discard, stream)
	if err != nil {
		t.Fatal(err)
	}
	stream.Close()
	took := time.Since(began)
	close(stop)
	<-watched
	more := most.Load() - before
	t.Logf("%d MB in %v; resident before %d MB, at most %d MB more", size>>20, took.Round(time.Millisecond),
		before>>20, more>>20)
	if size < int64(values)*valueBytes {
		t.Errorf("the file has only %d bytes", size)
	}
	if more > limit {
		t.Errorf("the server grew by %d MB", more>>20)
	}
	if !bytes.Equal(value, lastValue(ctx, t, cluster, values-1)) {
		t.Error("the last value is another one")
	}
}

func lastValue(ctx context.Context, t *testing.T, cluster *launcher.Cluster, i int) []byte {
	t.Helper()
	answer, err := connect(t, cluster).Get(ctx, fmt.Sprintf("large/%06d", i))
	if err != nil || len(answer.Kvs) != 1 {
		t.Fatal(err)
	}
	return answer.Kvs[0].Value
}

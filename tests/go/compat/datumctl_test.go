// SPDX-License-Identifier: Apache-2.0

package compat

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"datum.dev/tests/launcher"
)

func datumctl(t *testing.T) string {
	t.Helper()
	binary := os.Getenv("DATUMCTL")
	if binary == "" {
		t.Fatal("DATUMCTL is not set: it must name datumctl's binary")
	}
	return binary
}

// talk is a command that goes on: a watch, a lock, an election.
type talk struct {
	*testing.T
	command *exec.Cmd
	stdin   io.WriteCloser
	lines   chan string
}

func (c tool) start(arguments ...string) *talk {
	c.Helper()
	command := exec.Command(c.binary, append([]string{"--endpoints=" + c.endpoint}, arguments...)...)
	stdin, err := command.StdinPipe()
	if err != nil {
		c.Fatal(err)
	}
	stdout, err := command.StdoutPipe()
	if err != nil {
		c.Fatal(err)
	}
	command.Stderr = os.Stderr
	if err := command.Start(); err != nil {
		c.Fatal(err)
	}
	running := &talk{c.T, command, stdin, make(chan string, 100000)}
	go func() {
		scanner := bufio.NewScanner(stdout)
		for scanner.Scan() {
			running.lines <- scanner.Text()
		}
		close(running.lines)
	}()
	c.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
	})
	return running
}

// says waits for these lines, one after another.
func (r *talk) says(lines ...string) {
	r.Helper()
	for _, want := range lines {
		select {
		case got, open := <-r.lines:
			if !open || got != want {
				r.Fatalf("%s: %q, want %q", r.command.Args[2:], got, want)
			}
		case <-time.After(30 * time.Second):
			r.Fatalf("%s: nothing, want %q", r.command.Args[2:], want)
		}
	}
}

// next is whatever line comes.
func (r *talk) next() string {
	r.Helper()
	select {
	case got := <-r.lines:
		return got
	case <-time.After(30 * time.Second):
		r.Fatalf("%s says nothing", r.command.Args[2:])
	}
	return ""
}

// interrupt is ctrl-C; returned is the exit code.
func (r *talk) interrupt() int {
	r.Helper()
	if err := r.command.Process.Signal(syscall.SIGINT); err != nil {
		r.Fatal(err)
	}
	for range r.lines {
	}
	_ = r.command.Wait()
	return r.command.ProcessState.ExitCode()
}

var (
	leaseID = regexp.MustCompile(`\b[0-9a-f]{16}\b`)
	// Ids of leases as numbers, and seconds left.
	leaseFields = regexp.MustCompile(`("(?:ID|id|ttl|lease|Lease|PrevLease|TTL)" ?: ?)\d+`)
	remaining   = regexp.MustCompile(`remaining\(\d+s\)`)
	took        = regexp.MustCompile(`took [0-9.a-zµ]+`)
)

func lastingOfVerbs(text string) string {
	// In hexadecimal first: sixteen digits, and no more.
	text = leaseID.ReplaceAllString(lasting(text), "<id>")
	text = leaseFields.ReplaceAllString(text, "${1}*")
	// Go's text of a message has one blank or two between fields, by chance.
	text = strings.ReplaceAll(text, "  alarm:", " alarm:")
	return took.ReplaceAllString(remaining.ReplaceAllString(text, "remaining(*)"), "took *")
}

// The verbs beside keys print what etcdctl prints, byte for byte.
func TestDatumctlVerbsPrintWhatEtcdctlPrints(t *testing.T) {
	stock, err := etcdctl()
	if err != nil {
		t.Fatal(err)
	}
	cluster := launcher.ForTest(t, 1)
	endpoint := cluster.Endpoints()[0]
	theirs, ours := tool{t, stock, endpoint}, tool{t, datumctl(t), endpoint}
	client, err := launcher.Connect(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	// $LEASE is a lease with a key, made anew for each command.
	lease := func() string {
		t.Helper()
		granted, err := client.Grant(context.Background(), 500)
		if err != nil {
			t.Fatal(err)
		}
		_, err = client.Put(context.Background(), "leased", "v", clientv3.WithLease(granted.ID))
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("%x", int64(granted.ID))
	}
	raise := func() {
		t.Helper()
		request := &pb.AlarmRequest{Action: pb.AlarmRequest_ACTIVATE, Alarm: pb.AlarmType_NOSPACE,
			MemberID: 77}
		_, err := pb.NewMaintenanceClient(client.ActiveConnection()).Alarm(context.Background(), request)
		if err != nil {
			t.Fatal(err)
		}
	}
	run := func(c tool, line string) result {
		t.Helper()
		id := lease()
		if strings.Contains(line, "raised alarm") {
			line = strings.Replace(line, "raised ", "", 1)
			raise()
			defer func() {
				if _, err := client.AlarmDisarm(context.Background(), &clientv3.AlarmMember{}); err != nil {
					t.Fatal(err)
				}
			}()
		}
		got := c.run("", strings.Fields(strings.ReplaceAll(line, "$LEASE", id))...)
		deadline, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		all, err := client.Leases(deadline)
		if err != nil {
			t.Fatal(err)
		}
		for _, left := range all.Leases {
			if _, err := client.Revoke(deadline, left.ID); err != nil {
				t.Fatal(err)
			}
		}
		return got
	}
	for _, line := range []string{
		"lease grant 100", "lease timetolive $LEASE", "lease timetolive --keys $LEASE",
		"lease keep-alive --once $LEASE", "lease list", "lease revoke $LEASE",
		"lease timetolive 1234", "lease timetolive --keys 1234", "lease keep-alive --once 1234",
		"lease keep-alive 1234", "lease revoke 1234", "lease grant -- -5", "lease grant 99999999999",
		"alarm list", "alarm disarm", "raised alarm list", "raised alarm disarm", "endpoint hashkv --rev 2", "defrag", "defrag --cluster",
		"compaction 100000", "member list", "endpoint status",
	} {
		formats := []string{"simple", "json", "fields"}
		if strings.HasPrefix(line, "endpoint") || strings.HasPrefix(line, "member") {
			formats = append(formats, "table")
		}
		for _, format := range formats {
			for _, hex := range []string{"--hex=false", "--hex=true"} {
				if hex == "--hex=true" && format != "fields" {
					continue // says the same
				}
				full := "--write-out=" + format + " " + hex + " " + line
				want, got := run(theirs, full), run(ours, full)
				if format == "table" && strings.HasPrefix(line, "endpoint status") {
					// Columns are as wide as what changes in them.
					want.out, got.out = headOf(want.out), headOf(got.out)
				}
				if lastingOfVerbs(got.out) != lastingOfVerbs(want.out) || (got.code == 0) != (want.code == 0) {
					t.Errorf("%s\n etcdctl: %d %q\ndatumctl: %d %q\n%s", full, want.code,
						lastingOfVerbs(want.out), got.code, lastingOfVerbs(got.out), got.err)
				}
				if want.code != 0 && !strings.Contains(want.err, strings.TrimSpace(got.err)) {
					t.Errorf("%s\n etcdctl: %q\ndatumctl: %q", full, want.err, got.err)
				}
			}
		}
	}
}

// headOf is the titles of a table, without their blanks.
func headOf(table string) string {
	lines := strings.Split(table, "\n")
	if len(lines) < 2 {
		return table
	}
	return strings.Join(strings.Fields(lines[1]), " ")
}

// A watch of datumctl beside one of etcdctl, in every format.
func TestDatumctlWatches(t *testing.T) {
	stock, err := etcdctl()
	if err != nil {
		t.Fatal(err)
	}
	endpoint := clusterOf(t, 3).Endpoints()[0]
	ours := tool{t, datumctl(t), endpoint}
	first := ours.revision("put watched/a 1")
	ours.prints("OK\n", "put watched/a 2")
	ours.prints("1\n", "del watched/a")
	ours.prints("OK\n", "put watched/\x01<odd> 3")
	for _, format := range []string{"simple", "json", "fields"} {
		for _, flag := range []string{"--prev-kv", "--hex"} {
			var said [2][]string
			for i, binary := range []string{stock, ours.binary} {
				running := tool{t, binary, endpoint}.start("watch", "--prefix", "watched/", "--rev="+first,
					flag, "-w", format)
				lines := map[string]int{"simple": 12, "json": 1, "fields": 30}[format]
				if flag == "--prev-kv" && format == "simple" {
					lines = 16
				}
				for n := 0; n < lines; n++ {
					said[i] = append(said[i], running.next())
				}
			}
			for n := range said[0] {
				// The header's revision may be a later one.
				if lasting(said[0][n]) != lasting(said[1][n]) {
					t.Errorf("-w %s %s, line %d\n etcdctl: %q\ndatumctl: %q", format, flag, n,
						said[0][n], said[1][n])
				}
			}
		}
	}

	t.Setenv("WATCH_TEST", "1")
	running := ours.start("watch", "watched/a", "--rev="+first, "--", "sh", "-c",
		`echo "$ETCD_WATCH_EVENT_TYPE $ETCD_WATCH_KEY $ETCD_WATCH_VALUE $WATCH_TEST"`)
	running.says("PUT", "watched/a", "1", "PUT", "watched/a", "2", "DELETE", "watched/a", "")
	running.says(`"PUT" "watched/a" "1" 1`, `"PUT" "watched/a" "2" 1`, `"DELETE" "watched/a" "" 1`)

	interactive := ours.start("watch", "-i")
	fmt.Fprintf(interactive.stdin, "watch watched/a --rev %s\n", first)
	interactive.says("PUT", "watched/a", "1", "PUT", "watched/a", "2", "DELETE", "watched/a", "")
	fmt.Fprintln(interactive.stdin, "progress")
	if said := interactive.next(); !strings.HasPrefix(said, "progress notify: ") {
		t.Errorf("progress: %q", said)
	}

	last := ours.revision("put watched/b 1")
	ours.prints("compacted revision "+last+"\n", "compaction "+last)
	ours.fails("watch was canceled (etcdserver: mvcc: required revision has been compacted)",
		"watch watched/a --rev="+first)
	for _, binary := range []string{stock, ours.binary} {
		tool{t, binary, endpoint}.fails("watch was canceled (etcdserver: mvcc: required revision has been compacted)",
			"watch watched/a --rev=-1")
	}
	ours.fails("key is missing", "watch")
}

// A lock is held by one at a time, in order, and given up in the end.
func TestDatumctlLocksAndElects(t *testing.T) {
	endpoints := strings.Join(clusterOf(t, 3).Endpoints(), ",")
	ours := tool{t, datumctl(t), endpoints}
	holder := ours.start("lock", "turn")
	if key := holder.next(); !strings.HasPrefix(key, "turn/") {
		t.Fatalf("the lock's key is %q", key)
	}
	holder.says("")
	waiter := ours.start("lock", "turn", "--", "sh", "-c", "echo $ETCD_LOCK_KEY $ETCD_LOCK_REV; exit 5")
	gaveUp := ours.start("lock", "turn", "--", "echo", "never")
	// All three stand in the queue.
	for began := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		if queue := ours.run("", "get", "--prefix", "--keys-only", "turn/").out; strings.Count(queue, "turn/") == 3 {
			break
		} else if time.Since(began) > 30*time.Second {
			t.Fatalf("the queue is %q", queue)
		}
	}
	select {
	case line := <-waiter.lines:
		t.Fatalf("the second has the lock, too: %q", line)
	default:
	}
	if code := gaveUp.interrupt(); code != 1 {
		t.Errorf("who gave up waiting: exit code %d", code)
	}
	if code := holder.interrupt(); code != 0 {
		t.Errorf("the holder: exit code %d", code)
	}
	if said := waiter.next(); !regexp.MustCompile(`^turn/[0-9a-f]+ \d+$`).MatchString(said) {
		t.Errorf("the waiter's command: %q", said)
	}
	for range waiter.lines {
	}
	_ = waiter.command.Wait()
	if code := waiter.command.ProcessState.ExitCode(); code != 5 {
		t.Errorf("the waiter's exit code is %d, and its command's 5", code)
	}
	ours.prints("", "get --prefix turn/")

	listener := ours.start("elect", "-l", "chair")
	first := ours.start("elect", "chair", "one")
	key := first.next()
	first.says("one")
	listener.says(key, "one")
	second := ours.start("elect", "chair", "two") // may come before or after the first has gone
	if code := first.interrupt(); code != 0 {
		t.Errorf("the first leader: exit code %d", code)
	}
	key = second.next()
	second.says("two")
	listener.says(key, "two")
	if code := listener.interrupt(); code != 0 {
		t.Errorf("the listener: exit code %d", code)
	}
	ours.fails("no proposal argument", "elect chair")
}

// A watch and a mirror lose and repeat nothing while each member in turn is killed and comes back.
func TestDatumctlGoesOnOverKilledMembers(t *testing.T) {
	source, destination := launcher.ForTest(t, 3), launcher.ForTest(t, 1)
	ours := tool{t, datumctl(t), strings.Join(source.Endpoints(), ",")}
	first := ours.revision("put m/start 0")
	watch := ours.start("watch", "--prefix", "m/n", "--rev="+first)
	ours.start("make-mirror", destination.Endpoints()[0], "--prefix=m/", "--dest-prefix=copy/")
	lock := ours.start("lock", "held", "--ttl=5")
	lockKey := lock.next()
	client, err := launcher.Connect(source.Endpoints()...)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	deadline, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	written := 0
	write := func(count int) {
		t.Helper()
		for i := 0; i < count; i++ {
			// A put whose outcome is not known would be an event too many or too few: the key tells.
			for deadline.Err() == nil {
				once := clientv3.Compare(clientv3.CreateRevision(fmt.Sprintf("m/n%04d", written)), "=", 0)
				_, err := client.Txn(deadline).If(once).
					Then(clientv3.OpPut(fmt.Sprintf("m/n%04d", written), "v")).Commit()
				if err == nil {
					break
				}
				time.Sleep(50 * time.Millisecond)
			}
			written++
		}
	}
	for _, member := range source.Members {
		write(30)
		if err := member.Kill9(); err != nil {
			t.Fatal(err)
		}
		write(30)
		if err := member.Restart(); err != nil {
			t.Fatal(err)
		}
	}
	write(10)
	// Longer than its TTL, the lock's lease was kept alive by whichever members were there.
	held, err := client.Get(deadline, lockKey)
	if err != nil || len(held.Kvs) != 1 || held.Kvs[0].Version != 1 {
		t.Errorf("the lock is not held any more: %v %v", held, err)
	}
	if code := lock.interrupt(); code != 0 {
		t.Errorf("the lock's exit code is %d", code)
	}
	for i := 0; i < written; i++ {
		watch.says("PUT", fmt.Sprintf("m/n%04d", i), "v")
	}
	copied, err := launcher.Connect(destination.Endpoints()[0])
	if err != nil {
		t.Fatal(err)
	}
	defer copied.Close()
	for {
		answer, err := copied.Get(deadline, "copy/", clientv3.WithPrefix(), clientv3.WithCountOnly())
		if err != nil {
			t.Fatal(err)
		}
		if answer.Count == int64(written)+1 {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	if _, err := client.Delete(deadline, "m/n", clientv3.WithPrefix()); err != nil {
		t.Fatal(err)
	}
	for {
		answer, err := copied.Get(deadline, "copy/", clientv3.WithPrefix(), clientv3.WithCountOnly())
		if err != nil {
			t.Fatal(err)
		}
		if answer.Count == 1 {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func TestDatumctlChecksPerformance(t *testing.T) {
	ours := tool{t, datumctl(t), clusterOf(t, 1).Endpoints()[0]}
	got := ours.run("", "check", "perf", "--duration=2s", "--auto-compact", "--auto-defrag")
	// The machine's verdict is its own; its words are etcdctl's.
	pattern := regexp.MustCompile(`(?s)^Compacting with revision \d+\nCompacted with revision \d+\n` +
		`Defragmenting "[^"]+"\nDefragmented "[^"]+"\n(PASS: Throughput is|FAIL: Throughput too low:) \d+ ` +
		`writes/s\n(PASS: Slowest request took|Slowest request took too long:) \d+\.\d{6}s\n` +
		`(PASS: Stddev is|Stddev too high:) \d+\.\d{6}s\n(PASS|FAIL)\n$`)
	if !pattern.MatchString(got.out) || (got.code == 0) != strings.HasSuffix(got.out, "\nPASS\n") {
		t.Errorf("exit code %d\n%s\n%s", got.code, got.out, got.err)
	}
	if !strings.Contains(got.err, "check perf 100% 2 s of 2 s\n") {
		t.Errorf("progress: %q", got.err)
	}
	ours.prints("", "get --prefix --keys-only /etcdctl-check-perf/")

	// Ctrl-C leaves nothing behind either.
	interrupted := ours.start("check", "perf")
	for began := time.Now(); ours.run("", "get", "--prefix", "--limit=1", "/etcdctl-check-perf/").out == ""; {
		if time.Since(began) > 30*time.Second {
			t.Fatal("check perf writes nothing")
		}
	}
	if code := interrupted.interrupt(); code != 1 {
		t.Errorf("an interrupted check: exit code %d", code)
	}
	ours.prints("", "get --prefix --keys-only /etcdctl-check-perf/")
	ours.prints("OK\n", "put /etcdctl-check-perf/x 1")
	ours.fails("has keys", "check perf")
	ours.prints("1\n", "del /etcdctl-check-perf/x")
}

// A snapshot that cannot be complete leaves nothing behind.
func TestDatumctlSaveLeavesNoHalfFile(t *testing.T) {
	directory := t.TempDir()
	nowhere := tool{t, datumctl(t), "127.0.0.1:1"}
	got := nowhere.run("", "snapshot", "save", filepath.Join(directory, "x.db"))
	if got.code != 1 || got.err == "" {
		t.Errorf("no server: %+v", got)
	}
	two := tool{t, datumctl(t), "127.0.0.1:1,127.0.0.1:2"}
	if got := two.run("", "snapshot", "save", filepath.Join(directory, "x.db")); got.code != 2 {
		t.Errorf("two endpoints: %+v", got)
	}
	left, err := os.ReadDir(directory)
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

// Who holds a lease is told when it is gone, and when nobody can say that it is not.
func TestDatumctlTellsThatALeaseIsLost(t *testing.T) {
	cluster := launcher.ForTest(t, 1)
	ours := tool{t, datumctl(t), cluster.Endpoints()[0]}
	lock := ours.start("lock", "lost", "--ttl=6")
	lock.next()
	lease := leaseID.FindString(ours.run("", "lease", "list").out)
	ours.prints("lease "+lease+" revoked\n", "lease revoke "+lease)
	for range lock.lines {
	}
	_ = lock.command.Wait()
	if code := lock.command.ProcessState.ExitCode(); code != 1 {
		t.Errorf("a lock whose lease was revoked: exit code %d", code)
	}

	lease = leaseID.FindString(ours.run("", "lease", "grant", "3").out)
	keeper := ours.start("lease", "keep-alive", lease)
	keeper.says("lease " + lease + " keepalived with TTL(3)")
	if err := cluster.Member(0).Kill9(); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	for range keeper.lines {
	}
	_ = keeper.command.Wait()
	if code := keeper.command.ProcessState.ExitCode(); code != 1 || time.Since(began) > 10*time.Second {
		t.Errorf("a lease that no server keeps: exit code %d after %v", code, time.Since(began))
	}
}

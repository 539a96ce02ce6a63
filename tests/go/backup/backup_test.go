// SPDX-License-Identifier: Apache-2.0

// Package backup saves a cluster of etcd's and restores it as one of ours, and the other way round.
//
// DATUM_BACKUP_KEYS is the number of keys (3000); DATUM_BACKUP_STREAM_MB the size of the state whose
// snapshot must not take memory (64).
package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"datum.dev/tests/launcher"
)

func number(t *testing.T, variable string, without int) int {
	t.Helper()
	text := os.Getenv(variable)
	if text == "" {
		return without
	}
	value, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%s: %v", variable, err)
	}
	return value
}

func variable(t *testing.T, name string) string {
	t.Helper()
	value := os.Getenv(name)
	if value == "" {
		t.Fatalf("%s is not set", name)
	}
	return value
}

func stock(t *testing.T, program string) string {
	t.Helper()
	binary, err := launcher.Stock(program)
	if err != nil {
		t.Fatal(err)
	}
	return binary
}

func etcd(t *testing.T) string    { return stock(t, "server") }
func etcdutl(t *testing.T) string { return stock(t, "etcdutl") }

func connect(t *testing.T, cluster *launcher.Cluster) *clientv3.Client {
	t.Helper()
	client, err := launcher.Connect(cluster.Endpoints()...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client
}

func start(t *testing.T, options launcher.Options) *launcher.Cluster {
	t.Helper()
	cluster, err := launcher.StartWith(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			for _, member := range cluster.Members {
				t.Logf("the end of the log of %s:\n%s", member.Name, member.LogTail(30))
			}
		}
		cluster.Close()
	})
	return cluster
}

// restoredBy makes each member's data directory with `snapshot restore` of a tool, datumctl or
// etcdutl: their flags are the same.
func restoredBy(tool, file string) func(*launcher.Cluster, *launcher.Member) error {
	return func(c *launcher.Cluster, m *launcher.Member) error {
		command := exec.Command(tool, "snapshot", "restore", file, "--name="+m.Name,
			"--data-dir="+m.DataDir(), "--initial-cluster="+c.InitialCluster(),
			"--initial-cluster-token="+c.Token(), "--initial-advertise-peer-urls="+m.PeerURL)
		if output, err := command.CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w\n%s", strings.Join(command.Args, " "), err, output)
		}
		return nil
	}
}

// fill writes so many keys with history, deletes, leases and steps of many changes, and compacts
// in the middle. Returned: the revision of the compaction.
func fill(t *testing.T, client *clientv3.Client, prefix string, keys int) int64 {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	var leases []clientv3.LeaseID
	for i := 0; i < 20; i++ {
		lease, err := client.Grant(ctx, int64(3600+i))
		if err != nil {
			t.Fatal(err)
		}
		leases = append(leases, lease.ID)
	}
	// Steps of 100 changes: half of them create, a third write again, the rest delete.
	step := func(round int) {
		t.Helper()
		for first := 0; first < keys; first += 100 {
			var operations []clientv3.Op
			for i := first; i < min(first+100, keys); i++ {
				key := fmt.Sprintf("%s%07d", prefix, i)
				switch {
				case round == 1 && i%3 != 0: // only some are written a second time
				case round == 2 && i%7 != 0:
				case round == 2:
					operations = append(operations, clientv3.OpDelete(key))
				case i%11 == 0:
					operations = append(operations, clientv3.OpPut(key, fmt.Sprint("leased ", round),
						clientv3.WithLease(leases[i%len(leases)])))
				default:
					operations = append(operations,
						clientv3.OpPut(key, fmt.Sprint(strings.Repeat("v", i%200), round, "\x00\xff")))
				}
			}
			if _, err := client.Txn(ctx).Then(operations...).Commit(); err != nil {
				t.Fatal(err)
			}
		}
	}
	step(0)
	step(1)
	middle, err := client.Get(ctx, "a")
	if err != nil {
		t.Fatal(err)
	}
	compacted := middle.Header.Revision - 5
	if _, err := client.Compact(ctx, compacted, clientv3.WithCompactPhysical()); err != nil {
		t.Fatal(err)
	}
	step(2)
	step(1)
	// A key that is born again, and one whose lease is revoked.
	for i := 0; i < 3; i++ {
		if _, err := client.Put(ctx, prefix+"again", fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
		if _, err := client.Delete(ctx, prefix+"again"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := client.Put(ctx, prefix+"again", "last"); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Revoke(ctx, leases[3]); err != nil {
		t.Fatal(err)
	}
	return compacted
}

func addUsers(t *testing.T, client *clientv3.Client) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"reader", "writer", "root"} {
		_, err := client.RoleAdd(ctx, name)
		must(err)
		_, err = client.RoleGrantPermission(ctx, name, "k/", "k0",
			clientv3.PermissionType(clientv3.PermReadWrite))
		must(err)
		_, err = client.UserAdd(ctx, "user-of-"+name, "secret-"+name)
		must(err)
		_, err = client.UserGrantRole(ctx, "user-of-"+name, name)
		must(err)
	}
}

// users is a description of all users and roles.
func users(t *testing.T, client *clientv3.Client) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var all strings.Builder
	names, err := client.UserList(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names.Users {
		user, err := client.UserGet(ctx, name)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(&all, name, user.Roles)
	}
	roles, err := client.RoleList(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range roles.Roles {
		role, err := client.RoleGet(ctx, name)
		if err != nil {
			t.Fatal(err)
		}
		for _, permission := range role.Perm {
			fmt.Fprintf(&all, "%s %v %q %q\n", name, permission.PermType, permission.Key,
				permission.RangeEnd)
		}
	}
	return all.String()
}

func save(t *testing.T, cluster *launcher.Cluster, name string) string {
	t.Helper()
	client, err := launcher.Connect(cluster.Endpoints()[0])
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	// A follower may be a moment behind; after a linearizable read it has what was written before.
	if _, err := client.Get(ctx, "k"); err != nil {
		t.Fatal(err)
	}
	stream, err := client.Snapshot(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	path := filepath.Join(t.TempDir(), name)
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := io.Copy(file, stream); err != nil {
		t.Fatal(err)
	}
	return path
}

// page is up to 5000 keys from one on, as of a revision.
func page(t *testing.T, client *clientv3.Client, from string, revision int64) *clientv3.GetResponse {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	answer, err := client.Get(ctx, from, clientv3.WithFromKey(), clientv3.WithRev(revision),
		clientv3.WithLimit(5000))
	if err != nil {
		t.Fatalf("from %q at revision %d: %v", from, revision, err)
	}
	return answer
}

// sameRange compares every key with all its fields, as of a revision.
func sameRange(t *testing.T, ours, theirs *clientv3.Client, revision int64) int {
	t.Helper()
	from, seen := "\x00", 0
	for {
		got, want := page(t, ours, from, revision), page(t, theirs, from, revision)
		if got.Count != want.Count || len(got.Kvs) != len(want.Kvs) {
			t.Fatalf("revision %d from %q: %d keys of %d, want %d of %d", revision, from,
				len(got.Kvs), got.Count, len(want.Kvs), want.Count)
		}
		for i, datum := range want.Kvs {
			if got.Kvs[i].String() != datum.String() {
				t.Fatalf("revision %d: %v, want %v", revision, got.Kvs[i], datum)
			}
		}
		seen += len(want.Kvs)
		if !want.More {
			return seen
		}
		from = string(want.Kvs[len(want.Kvs)-1].Key) + "\x00"
	}
}

func leasesOf(t *testing.T, client *clientv3.Client) map[clientv3.LeaseID]string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	all, err := client.Leases(ctx)
	if err != nil {
		t.Fatal(err)
	}
	leases := map[clientv3.LeaseID]string{}
	for _, lease := range all.Leases {
		one, err := client.TimeToLive(ctx, lease.ID, clientv3.WithAttachedKeys())
		if err != nil {
			t.Fatal(err)
		}
		keys := map[string]bool{}
		for _, key := range one.Keys {
			keys[string(key)] = true
		}
		leases[lease.ID] = fmt.Sprint(one.GrantedTTL, keys)
	}
	return leases
}

// same compares two clusters at five revisions above the compaction, and their leases. `last` is
// what both have in common.
func same(t *testing.T, ours, theirs *clientv3.Client, compacted, last int64) {
	t.Helper()
	for i := int64(0); i < 5; i++ {
		revision := compacted + 1 + (last-compacted-1)*i/4
		t.Logf("revision %d: %d keys are equal", revision, sameRange(t, ours, theirs, revision))
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for _, client := range []*clientv3.Client{ours, theirs} {
		if _, err := client.Get(ctx, "k", clientv3.WithRev(compacted-1)); err == nil ||
			!strings.Contains(err.Error(), "required revision has been compacted") {
			t.Errorf("below the compaction: %v", err)
		}
	}
	got, want := leasesOf(t, ours), leasesOf(t, theirs)
	if len(want) == 0 || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("leases:\n%v, want\n%v", got, want)
	}
	t.Logf("%d leases with their keys are equal", len(want))
}

func revisionOf(t *testing.T, client *clientv3.Client) int64 {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	answer, err := client.Get(ctx, "k")
	if err != nil {
		t.Fatal(err)
	}
	return answer.Header.Revision
}

// etcd's snapshot becomes a cluster of ours, of one member and of three; that one's snapshot
// becomes a cluster of etcd's again, with the users that passed through.
func TestFromEtcdToDatumAndBack(t *testing.T) {
	datumctl, server := variable(t, "DATUMCTL"), variable(t, launcher.ServerVariable)
	keys := number(t, "DATUM_BACKUP_KEYS", 3000)
	source := start(t, launcher.Options{Members: 1, Binary: etcd(t)})
	etcdClient := connect(t, source)
	compacted := fill(t, etcdClient, "k/", keys)
	addUsers(t, etcdClient)
	last := revisionOf(t, etcdClient)
	file := save(t, source, "etcd.db")
	refusesWhatIsBroken(t, datumctl, file)

	for _, members := range []int{1, 3} {
		restored := start(t, launcher.Options{Members: members, Binary: server,
			Prepare: restoredBy(datumctl, file)})
		ourClient := connect(t, restored)
		if got := revisionOf(t, ourClient); got != last {
			t.Errorf("%d members: restored to revision %d, want %d", members, got, last)
		}
		same(t, ourClient, etcdClient, compacted, last)
		if members == 1 {
			continue
		}
		// On with new work, and back.
		again := fill(t, ourClient, "new/", keys/10)
		newest := revisionOf(t, ourClient)
		back := start(t, launcher.Options{Members: 1, Binary: etcd(t),
			Prepare: restoredBy(etcdutl(t), save(t, restored, "datum.db"))})
		backClient := connect(t, back)
		same(t, ourClient, backClient, again, newest)
		if got, want := users(t, backClient), users(t, etcdClient); got != want || want == "" {
			t.Errorf("users:\n%s, want\n%s", got, want)
		}
	}
}

// refusesWhatIsBroken cuts and alters a good file: it is neither shown nor restored.
func refusesWhatIsBroken(t *testing.T, datumctl, file string) {
	t.Helper()
	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	altered := append([]byte{}, good...)
	altered[len(altered)/2] ^= 1
	wrongHash := append([]byte{}, good...)
	wrongHash[len(wrongHash)-1] ^= 1
	for name, bytes := range map[string][]byte{
		"cut": good[:len(good)-1000], "without its hash": good[:len(good)-32], "altered": altered,
		"with another hash": wrongHash, "empty": {}, "half": good[:len(good)/2],
	} {
		path := filepath.Join(t.TempDir(), "broken.db")
		if err := os.WriteFile(path, bytes, 0o600); err != nil {
			t.Fatal(err)
		}
		directory := filepath.Join(t.TempDir(), "restored")
		command := exec.Command(datumctl, "snapshot", "restore", path, "--data-dir="+directory)
		output, err := command.CombinedOutput()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 1 || !strings.Contains(string(output), "Error: ") {
			t.Errorf("a file that is %s: %v, %s", name, err, output)
		}
		if _, err := os.Stat(directory); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("a file that is %s: its data directory is there (%v)", name, err)
		}
		t.Logf("a file that is %s: %s", name, strings.TrimSpace(string(output)))
	}
	if output, err := exec.Command(datumctl, "snapshot", "status", file).CombinedOutput(); err != nil {
		t.Errorf("status of the whole file: %v %s", err, output)
	}
}

// etcdutl and datumctl say the same of files of both makes, and datumctl's own save is one.
func TestStatusIsEtcdutls(t *testing.T) {
	datumctl := variable(t, "DATUMCTL")
	ours := start(t, launcher.Options{Members: 1, Binary: variable(t, launcher.ServerVariable)})
	theirs := start(t, launcher.Options{Members: 1, Binary: etcd(t)})
	for name, cluster := range map[string]*launcher.Cluster{"datum": ours, "etcd": theirs} {
		fill(t, connect(t, cluster), "k/", 500)
		waitStorageVersion(t, cluster)
		path := filepath.Join(t.TempDir(), name+".db")
		saved, err := exec.Command(datumctl, "--endpoints="+cluster.Endpoints()[0], "snapshot",
			"save", path).Output()
		if want := "Snapshot saved at " + path + "\nServer version 3.7.0\n"; err != nil ||
			string(saved) != want {
			t.Fatalf("save: %v, %q, want %q", err, saved, want)
		}
		if _, err := os.Stat(path + ".part"); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s.part is there: %v", path, err)
		}
		for _, format := range []string{"simple", "json", "fields", "table"} {
			want, err := exec.Command(etcdutl(t), "snapshot", "status", path, "-w", format).Output()
			if err != nil {
				t.Fatal(err)
			}
			got, err := exec.Command(datumctl, "snapshot", "status", path, "-w", format).Output()
			if err != nil || string(got) != string(want) {
				t.Errorf("%s, -w %s: %v\n%s, want\n%s", name, format, err, got, want)
			}
		}
	}
}

// etcd writes the version of its storage a while after it has begun to serve.
func waitStorageVersion(t *testing.T, cluster *launcher.Cluster) {
	t.Helper()
	client := connect(t, cluster)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for {
		status, err := client.Status(ctx, cluster.Endpoints()[0])
		if err != nil {
			t.Fatalf("the storage version is not there: %v", err)
		}
		if status.StorageVersion != "" {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// A bumped revision: what clients of the old cluster had seen is compacted.
func TestBumpedRevision(t *testing.T) {
	datumctl, server := variable(t, "DATUMCTL"), variable(t, launcher.ServerVariable)
	source := start(t, launcher.Options{Members: 1, Binary: server})
	client := connect(t, source)
	fill(t, client, "k/", 300)
	last := revisionOf(t, client)
	file := save(t, source, "bump.db")
	restored := start(t, launcher.Options{Members: 1, Binary: server,
		Prepare: func(c *launcher.Cluster, m *launcher.Member) error {
			command := exec.Command(datumctl, "snapshot", "restore", file, "--name="+m.Name,
				"--data-dir="+m.DataDir(), "--initial-cluster="+c.InitialCluster(),
				"--initial-cluster-token="+c.Token(), "--initial-advertise-peer-urls="+m.PeerURL,
				"--bump-revision=1000000", "--mark-compacted")
			output, err := command.CombinedOutput()
			if err != nil {
				return fmt.Errorf("%w: %s", err, output)
			}
			return nil
		}})
	bumped := connect(t, restored)
	if got := revisionOf(t, bumped); got != last+1000000 {
		t.Errorf("revision %d, want %d", got, last+1000000)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	watch := <-bumped.Watch(ctx, "k/", clientv3.WithPrefix(), clientv3.WithRev(last))
	if watch.CompactRevision <= last {
		t.Errorf("a watcher of the old cluster got %+v", watch)
	}
	sameNow(t, bumped, client)
}

// sameNow compares keys and values alone: revisions differ.
func sameNow(t *testing.T, ours, theirs *clientv3.Client) {
	t.Helper()
	got, want := page(t, ours, "\x00", 0), page(t, theirs, "\x00", 0)
	if len(want.Kvs) == 0 || len(got.Kvs) != len(want.Kvs) {
		t.Fatalf("%d keys, want %d", len(got.Kvs), len(want.Kvs))
	}
	for i, datum := range want.Kvs {
		if string(got.Kvs[i].Key) != string(datum.Key) || string(got.Kvs[i].Value) != string(datum.Value) {
			t.Fatalf("%v, want %v", got.Kvs[i], datum)
		}
	}
}

// A cluster with authentication does not become an open one by mistake.
func TestAuthenticationIsNotDroppedSilently(t *testing.T) {
	datumctl := variable(t, "DATUMCTL")
	source := start(t, launcher.Options{Members: 1, Binary: etcd(t)})
	client := connect(t, source)
	addUsers(t, client)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if _, err := client.UserAdd(ctx, "root", "secret"); err != nil {
		t.Fatal(err)
	}
	if _, err := client.UserGrantRole(ctx, "root", "root"); err != nil {
		t.Fatal(err)
	}
	if _, err := client.AuthEnable(ctx); err != nil {
		t.Fatal(err)
	}
	root, err := clientv3.New(clientv3.Config{Endpoints: source.Endpoints(), Username: "root",
		Password: "secret", DialTimeout: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	stream, err := root.Snapshot(ctx)
	if err != nil {
		t.Fatal(err)
	}
	content, err := io.ReadAll(stream)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "auth.db")
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	directory := filepath.Join(t.TempDir(), "restored")
	arguments := []string{"snapshot", "restore", file, "--data-dir=" + directory}
	output, err := exec.Command(datumctl, arguments...).CombinedOutput()
	if err == nil || !strings.Contains(string(output), "--accept-auth-off") {
		t.Errorf("without the flag: %v %s", err, output)
	}
	output, err = exec.Command(datumctl, append(arguments, "--accept-auth-off")...).CombinedOutput()
	if err != nil || !strings.Contains(string(output), "4 users, 3 roles") {
		t.Errorf("with the flag: %v %s", err, output)
	}
}

// What the last member of a lost quorum has can be saved, and a new cluster made from it.
func TestALostQuorumIsRestoredFromTheLastMember(t *testing.T) {
	datumctl, server := variable(t, "DATUMCTL"), variable(t, launcher.ServerVariable)
	lost := start(t, launcher.Options{Members: 3, Binary: server})
	client := connect(t, lost)
	fill(t, client, "k/", 200)
	want := page(t, client, "\x00", 0)
	for _, member := range lost.Members[1:] {
		if err := member.Kill9(); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(t.TempDir(), "last.db")
	output, err := exec.Command(datumctl, "--endpoints="+lost.Endpoints()[0], "snapshot", "save",
		file).CombinedOutput()
	if err != nil {
		t.Fatalf("save: %v %s", err, output)
	}
	restored := start(t, launcher.Options{Members: 3, Binary: server,
		Prepare: restoredBy(datumctl, file)})
	got := page(t, connect(t, restored), "\x00", 0)
	if len(got.Kvs) != len(want.Kvs) || len(want.Kvs) == 0 {
		t.Errorf("%d keys, want %d", len(got.Kvs), len(want.Kvs))
	}
}

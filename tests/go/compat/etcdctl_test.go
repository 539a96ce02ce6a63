// SPDX-License-Identifier: Apache-2.0

package compat

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"datum.dev/tests/launcher"
)

// The stock etcdctl 3.7.1.
func etcdctl() (string, error) { return launcher.Stock("etcdctl") }

// tool is a command line client with the endpoint it talks to.
type tool struct {
	*testing.T
	binary   string
	endpoint string
}

type result struct {
	out, err string
	code     int
}

func (c tool) run(stdin string, arguments ...string) result {
	c.Helper()
	deadline, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	flags := []string{"--endpoints=" + c.endpoint}
	if !strings.Contains(strings.Join(arguments, " "), "--command-timeout") {
		// The default of two seconds is not for a machine that builds beside the tests.
		flags = append(flags, "--dial-timeout=15s")
	}
	command := exec.CommandContext(deadline, c.binary, append(flags, arguments...)...)
	command.Stdin = strings.NewReader(stdin)
	var out, err bytes.Buffer
	command.Stdout, command.Stderr = &out, &err
	if failure := command.Run(); failure != nil {
		var exit *exec.ExitError
		if !errors.As(failure, &exit) {
			c.Fatalf("%v: %v", arguments, failure)
		}
	}
	return result{out.String(), err.String(), command.ProcessState.ExitCode()}
}

// prints runs the arguments (one string, words split at blanks) and checks stdout.
func (c tool) prints(want, arguments string, stdin ...string) {
	c.Helper()
	got := c.run(strings.Join(stdin, ""), strings.Fields(arguments)...)
	if got.code != 0 || got.out != want {
		c.Fatalf("%s %s: exit code %d, stdout %q, want %q; stderr %s",
			filepath.Base(c.binary), arguments, got.code, got.out, want, got.err)
	}
}

func (c tool) fails(wantInStderr, arguments string) {
	c.Helper()
	got := c.run("", strings.Fields(arguments)...)
	if got.code == 0 || !strings.Contains(got.err, wantInStderr) {
		c.Fatalf("%s %s: exit code %d, stderr %q, want %q in it",
			filepath.Base(c.binary), arguments, got.code, got.err, wantInStderr)
	}
}

var revisionInJSON = regexp.MustCompile(`"revision":(\d+)`)

func (c tool) revision(arguments string) string {
	c.Helper()
	got := c.run("", strings.Fields(arguments+" -w json")...)
	match := revisionInJSON.FindStringSubmatch(got.out)
	if match == nil {
		c.Fatalf("%s: no revision in %q; stderr %s", arguments, got.out, got.err)
	}
	return match[1]
}

// useEverything is the work of a day with any of the command line clients.
func useEverything(c tool, key string) {
	c.prints("OK\n", "put "+key+"a 1")
	first := c.revision("put " + key + "b 2")
	c.prints("OK\n"+key+"b\n2\n", "put --prev-kv "+key+"b 3")
	c.prints("OK\n", "put "+key+"c", "from stdin")

	c.prints(key+"b\n3\n", "get "+key+"b")
	c.prints(key+"b\n2\n", "get "+key+"b --rev="+first)
	c.prints("", "get "+key+"none")
	c.prints(key+"a\n1\n"+key+"b\n3\n"+key+"c\nfrom stdin\n", "get --prefix "+key)
	c.prints(key+"a\n1\n"+key+"b\n3\n", "get "+key+"a "+key+"c")
	c.prints(key+"a\n1\n", "get --prefix --limit=1 "+key)
	c.prints(key+"c\nfrom stdin\n"+key+"b\n3\n"+key+"a\n1\n",
		"get --prefix --sort-by=KEY --order=DESCEND "+key)
	c.prints(key+"b\n3\n"+key+"a\n1\n"+key+"c\nfrom stdin\n",
		"get --prefix --sort-by=VERSION --order=DESCEND "+key)
	c.prints(key+"a\n\n"+key+"b\n\n"+key+"c\n\n", "get --prefix --keys-only "+key)
	c.prints("1\n3\nfrom stdin\n", "get --prefix --print-value-only "+key)
	c.prints(key+"a\n1\n", "get --consistency=s "+key+"a")
	count := c.run("", "get", "--prefix", "--count-only", "--write-out=fields", key)
	// Debian's etcdctl 3.4 has no such flag.
	if !strings.Contains(count.err, "unknown flag: --count-only") &&
		!strings.HasSuffix(count.out, "\"More\" : false\n\"Count\" : 3\n") {
		c.Fatalf("count only: %q", count.out)
	}

	txn := "mod(\"" + key + "a\") > \"0\"\n\nput " + key + "d \"in a txn\"\nget " + key +
		"d\n\nput " + key + "never x\n\n"
	c.prints("SUCCESS\n\nOK\n\n"+key+"d\nin a txn\n", "txn", txn)
	c.prints("FAILURE\n\n1\n", "txn",
		"value(\""+key+"a\") = \"other\"\n\nput "+key+"never x\n\ndel "+key+"d\n\n")

	c.prints("1\n"+key+"c\nfrom stdin\n", "del --prev-kv "+key+"c")
	last := c.revision("put " + key + "a 4")
	c.prints("compacted revision "+last+"\n", "compaction "+last)
	c.fails("etcdserver: mvcc: required revision has been compacted", "compaction "+last)
	c.fails("etcdserver: mvcc: required revision has been compacted", "get "+key+"b --rev="+first)
	c.fails("etcdserver: mvcc: required revision is a future revision", "get "+key+"b --rev=99999999")
	c.prints("2\n", "del --prefix "+key)

	status := c.run("", "endpoint", "status")
	if !strings.HasPrefix(status.out, c.endpoint+", ") || strings.Count(status.out, ", ") < 8 {
		c.Fatalf("endpoint status: %q %s", status.out, status.err)
	}
	health := c.run("", "endpoint", "health")
	if !strings.HasPrefix(health.out+health.err, c.endpoint+" is healthy: ") {
		c.Fatalf("endpoint health: %q %s", health.out, health.err)
	}
	members := c.run("", "member", "list")
	if !strings.Contains(members.out, ", started, n1, http://127.0.0.1:") {
		c.Fatalf("member list: %q %s", members.out, members.err)
	}
}

func TestCommandLineClients(t *testing.T) {
	stock, err := etcdctl()
	if err != nil {
		t.Fatal(err)
	}
	tools := map[string]string{"etcdctl-3.7.1": stock}
	if debian, err := exec.LookPath("etcdctl"); err == nil {
		tools["etcdctl-debian"] = debian
	}
	if datumctl := os.Getenv("DATUMCTL"); datumctl != "" {
		tools["datumctl"] = datumctl
	}
	for name, binary := range tools {
		t.Run(name, func(t *testing.T) {
			onEachMember(t, func(w world) {
				useEverything(tool{w.T, binary, w.endpoint}, w.prefix)
			})
		})
	}
}

// What differs from call to call and says nothing of the client.
var fleeting = []*regexp.Regexp{
	regexp.MustCompile(`("(?:[a-zA-Z_]*[rR]evision|[rR]aft(?:Applied)?Index|dbSize(?:InUse)?|DBSize(?:InUse)?)" ?: ?)\d+`),
	regexp.MustCompile(`(, )\d+, \d+(, , , false)`),
	regexp.MustCompile(`(took = |"took":"|"Took" : )[0-9.a-zµ]+`),
	regexp.MustCompile(`(3\.7\.0, )[^,]+, [^,]+, \d+%`),
}

func lasting(text string) string {
	for _, pattern := range fleeting {
		text = pattern.ReplaceAllString(text, "${1}*${2}")
	}
	return text
}

// datumctl prints what etcdctl prints, byte for byte.
func TestDatumctlPrintsWhatEtcdctlPrints(t *testing.T) {
	datumctl := os.Getenv("DATUMCTL")
	if datumctl == "" {
		t.Fatal("DATUMCTL is not set: it must name datumctl's binary")
	}
	stock, err := etcdctl()
	if err != nil {
		t.Fatal(err)
	}
	// One endpoint: with several, which member answers is each client's own choice.
	endpoint := clusterOf(t, 3).Endpoints()[0]
	theirs, ours := tool{t, stock, endpoint}, tool{t, datumctl, endpoint}
	odd := "byte<&>\"\\ \x01\x7f\xff ü\u2028"
	client, err := launcher.Connect(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	// So that both tools meet the same datums.
	reset := func() {
		t.Helper()
		deadline, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if _, err := client.Delete(deadline, "odd/", clientv3.WithPrefix()); err != nil {
			t.Fatal(err)
		}
		for _, pair := range [][2]string{{"odd/a", odd}, {"odd/" + odd, "x"}, {"odd/b", ""},
			{"odd/b", "[1,2]"}, {"odd/c", "{}"}, {"odd/d2", "old"}} {
			if _, err := client.Put(deadline, pair[0], pair[1]); err != nil {
				t.Fatal(err)
			}
		}
	}
	commands := [][]string{
		{"get", "--prefix", "odd/"},
		{"get", "--prefix", "odd/", "--limit=2"},
		{"get", "odd/none"},
		{"get", "--from-key", "odd/b", "--limit=1", "--sort-by=modify", "--order=descend"},
		{"get", "--prefix", "odd/", "--keys-only"},
		{"put", "--prev-kv", "odd/a", odd},
		{"put", "odd/new", "1"},
		{"del", "--prev-kv", "odd/b"},
		{"del", "odd/none"},
		{"del", "--prefix", "odd/"},
		{"member", "list"},
		{"member", "list", "--consistency=s"},
		{"endpoint", "status"},
		{"endpoint", "health"},
		{"txn"},
	}
	txn := "mod(\"odd/a\") > \"0\"\nvalue(\"odd/c\") = \"{}\"\n\nput odd/d 'one two'\nget --prefix odd/\n" +
		"del --prev-kv odd/d2\n\nget odd/a\n\n"
	compare := func(stdin string, arguments []string) {
		t.Helper()
		reset()
		want := theirs.run(stdin, arguments...)
		reset()
		got := ours.run(stdin, arguments...)
		if lasting(got.out) != lasting(want.out) || got.code != want.code {
			t.Errorf("%q\n etcdctl: %d %q\ndatumctl: %d %q\n%s", arguments, want.code,
				lasting(want.out), got.code, lasting(got.out), got.err)
		}
	}
	for _, command := range commands {
		for _, format := range []string{"simple", "json", "fields"} {
			for _, hex := range []string{"--hex=false", "--hex=true"} {
				compare(txn, append(append([]string{}, command...), "--write-out="+format, hex))
			}
		}
	}
}

// What datumctl alone promises: 1 for a failure, 2 for bad usage, and a reason.
func TestDatumctlExitCodes(t *testing.T) {
	datumctl := os.Getenv("DATUMCTL")
	if datumctl == "" {
		t.Fatal("DATUMCTL is not set: it must name datumctl's binary")
	}
	cluster := clusterOf(t, 1)
	c := tool{t, datumctl, cluster.Endpoints()[0]}
	cases := []struct {
		code      int
		reason    string
		stdin     string
		arguments string
	}{
		{0, "", "", "--help"},
		{0, "", "", "get --help"},
		{1, "etcdserver: mvcc: required revision is a future revision", "", "compaction 999999"},
		{1, "requested lease not found", "", "put a 1 --lease=1234"},
		{2, "subcommand", "", ""},
		{2, "", "", "gett a"},
		{2, "key is required", "", "get"},
		{2, "--no-such", "", "get a --no-such"},
		{2, "bad sort target", "", "get a --sort-by=COLOUR"},
		{2, "cannot be given together", "", "get a --prefix --from-key"},
		{2, "--count-only needs", "", "get a --count-only"},
		{2, "not a lease id", "", "put a 1 --lease=xyz"},
		{2, "duration", "", "get a --command-timeout=soon"},
		{2, "yaml", "", "get a -w yaml"},
		{2, "put command needs 1 argument and input from stdin", "", "put a"},
		{2, "table not supported as output format", "", "get a -w table"},
		{2, "malformed comparison", "mod(a) = 1\n\n\n\n", "txn"},
		{2, "stdin ended early", "mod(\"a\") = \"1\"\n\nput a 1\n", "txn"},
		{2, "invalid txn request", "\nwatch a\n\n\n", "txn"},
	}
	for _, test := range cases {
		got := c.run(test.stdin, strings.Fields(test.arguments)...)
		if got.code != test.code || !strings.Contains(got.err, test.reason) {
			t.Errorf("%s: exit code %d, want %d; stderr %q, want %q in it", test.arguments, got.code,
				test.code, got.err, test.reason)
		}
	}
	nowhere := tool{t, datumctl, "127.0.0.1:1"}
	if got := nowhere.run("", "get", "a", "--command-timeout=1s"); got.code != 1 ||
		!strings.Contains(got.err, "127.0.0.1:1") {
		t.Errorf("no server: %v", got)
	}
}

// datumctl knows all members and finds one that serves, whichever is gone.
func TestDatumctlFailsOver(t *testing.T) {
	datumctl := os.Getenv("DATUMCTL")
	if datumctl == "" {
		t.Fatal("DATUMCTL is not set: it must name datumctl's binary")
	}
	cluster := launcher.ForTest(t, 3)
	c := tool{t, datumctl, strings.Join(cluster.Endpoints(), ",")}
	c.prints("OK\n", "put a 0")
	deadline, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	for i, member := range cluster.Members {
		if err := member.Kill9(); err != nil {
			t.Fatal(err)
		}
		// A write may meet a member that has not yet heard of the new leader, and must then fail
		// rather than run twice; only the wait for a leader makes it sure.
		if _, err := cluster.Leader(deadline); err != nil {
			t.Fatal(err)
		}
		value := fmt.Sprint(i + 1)
		c.prints("OK\n", "put a "+value)
		c.prints("a\n"+value+"\n", "get a")
		if err := member.Restart(); err != nil {
			t.Fatal(err)
		}
	}
}

// SPDX-License-Identifier: Apache-2.0

// Package launcher runs clusters of real server processes on loopback, for tests. The binary is
// ours or etcd's: both take etcd's flags.
package launcher

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

// ServerVariable names the environment variable with the path of the server's binary.
const ServerVariable = "DATUM_SERVER"

// Cluster is n members that were started together.
type Cluster struct {
	Members []*Member
	home    string
	binary  string
	flags   []string
	named   int // how many members were ever made: no name is given twice
}

// Options say what StartWith starts. Members and Binary are needed.
type Options struct {
	Members int
	Binary  string
	Flags   []string // for all
	// Where member i lives; without it, on 127.0.0.1, in the cluster's own directory.
	Places []Place
	// Called for each member before any is launched, to make its data directory, say from a
	// snapshot.
	Prepare func(c *Cluster, m *Member) error
}

// Place is where a member lives.
type Place struct {
	Host        string   // the address that it listens on, "" for 127.0.0.1
	Directory   string   // where its data directory is made, "" for the cluster's
	Prefix      []string // stands before its command, as "ip netns exec NAME"
	Environment []string // further variables, as "NAME=value"
}

// Start runs n members of a new cluster and waits until each serves. extraFlags go to all.
func Start(n int, binary string, extraFlags ...string) (*Cluster, error) {
	return StartWith(Options{Members: n, Binary: binary, Flags: extraFlags})
}

// StartWith runs the members of a new cluster and waits until each serves.
func StartWith(options Options) (*Cluster, error) {
	var err error
	// Somebody else may take a port between our look and the server's bind.
	for attempt := 0; attempt < 3; attempt++ {
		var cluster *Cluster
		cluster, err = startOnce(options)
		if err == nil {
			return cluster, nil
		}
		if !strings.Contains(strings.ToLower(err.Error()), "in use") {
			break
		}
	}
	return nil, err
}

// ForTest is Start with the binary that DATUM_SERVER names, ended with the test. The logs are
// shown if the test failed.
func ForTest(t testing.TB, n int, extraFlags ...string) *Cluster {
	t.Helper()
	binary := os.Getenv(ServerVariable)
	if binary == "" {
		t.Fatalf("%s is not set: it must name the server's binary", ServerVariable)
	}
	cluster, err := Start(n, binary, extraFlags...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			for _, member := range cluster.Members {
				t.Logf("the end of the log of %s:\n%s", member.Name, member.LogTail(60))
			}
		}
		cluster.Close()
	})
	return cluster
}

func startOnce(options Options) (*Cluster, error) {
	binary, err := filepath.Abs(options.Binary)
	if err != nil {
		return nil, err
	}
	home, err := os.MkdirTemp(os.Getenv("TEST_TMPDIR"), "datum-cluster-")
	if err != nil {
		return nil, err
	}
	cluster := &Cluster{home: home, binary: binary, flags: options.Flags}
	for i := 0; i < options.Members; i++ {
		place := Place{}
		if i < len(options.Places) {
			place = options.Places[i]
		}
		if _, err := cluster.newMember(place); err != nil {
			return nil, err
		}
	}
	for _, member := range cluster.Members {
		member.flags = cluster.flagsOf(member, "new")
	}
	for _, member := range cluster.Members {
		if options.Prepare == nil {
			break
		}
		if err := options.Prepare(cluster, member); err != nil {
			cluster.Close()
			return nil, err
		}
	}
	if err := cluster.RestartAll(); err != nil {
		cluster.Close()
		return nil, err
	}
	return cluster, nil
}

// InitialCluster is the value of --initial-cluster for the present members.
func (c *Cluster) InitialCluster() string { return c.initialCluster() }

// Token is the value of --initial-cluster-token.
func (c *Cluster) Token() string { return filepath.Base(c.home) }

// Extend makes a member that joins the running cluster once it was added to it (MemberAdd with
// its PeerURL); it is not launched.
func (c *Cluster) Extend(place Place) (*Member, error) {
	member, err := c.newMember(place)
	if err != nil {
		return nil, err
	}
	member.flags = c.flagsOf(member, "existing")
	return member, nil
}

// Forget drops a member that was removed from the cluster, with its data.
func (c *Cluster) Forget(gone *Member) error {
	if gone.Running() {
		if err := gone.Kill9(); err != nil {
			return err
		}
	}
	var kept []*Member
	for _, member := range c.Members {
		if member != gone {
			kept = append(kept, member)
		}
	}
	c.Members = kept
	return os.RemoveAll(gone.DataDir())
}

// NameTheLiving gives a member a new --initial-cluster if no other member of its old one is left:
// with nobody to ask, one that lost its data would wait for ever. It is that of a cluster that
// exists: as one to be founded it would be another cluster.
func (c *Cluster) NameTheLiving(member *Member) {
	for i, flag := range member.flags {
		if strings.HasPrefix(flag, "--initial-cluster-state=") {
			member.flags[i] = "--initial-cluster-state=existing"
		}
		if !strings.HasPrefix(flag, "--initial-cluster=") {
			continue
		}
		for _, other := range c.Members {
			if other != member && strings.Contains(flag+",", "="+other.PeerURL+",") {
				return
			}
		}
		member.flags[i] = "--initial-cluster=" + c.initialCluster()
	}
}

func (c *Cluster) initialCluster() string {
	var initial []string
	for _, member := range c.Members {
		initial = append(initial, member.Name+"="+member.PeerURL)
	}
	return strings.Join(initial, ",")
}

func (c *Cluster) newMember(place Place) (*Member, error) {
	if place.Host == "" {
		place.Host = "127.0.0.1"
	}
	if place.Directory == "" {
		place.Directory = c.home
	}
	ports, err := freePorts(2)
	if err != nil {
		return nil, err
	}
	c.named++
	member := &Member{
		Name:      fmt.Sprintf("n%d", c.named),
		ClientURL: fmt.Sprintf("http://%s:%d", place.Host, ports[0]),
		PeerURL:   fmt.Sprintf("http://%s:%d", place.Host, ports[1]),
		Place:     place,
		binary:    c.binary,
		home:      c.home,
	}
	c.Members = append(c.Members, member)
	return member, nil
}

func (c *Cluster) flagsOf(member *Member, state string) []string {
	return append([]string{
		"--name=" + member.Name,
		"--data-dir=" + member.DataDir(),
		"--listen-client-urls=" + member.ClientURL,
		"--advertise-client-urls=" + member.ClientURL,
		"--listen-peer-urls=" + member.PeerURL,
		"--initial-advertise-peer-urls=" + member.PeerURL,
		"--initial-cluster=" + c.initialCluster(),
		"--initial-cluster-token=" + filepath.Base(c.home),
		"--initial-cluster-state=" + state,
	}, c.flags...)
}

// RestartAll launches every member that does not run, all at once, and waits until all serve.
func (c *Cluster) RestartAll() error {
	for _, member := range c.Members {
		if member.Running() {
			continue
		}
		if err := member.Launch(); err != nil {
			return err
		}
	}
	for _, member := range c.Members {
		if err := member.WaitReady(60 * time.Second); err != nil {
			return err
		}
	}
	return nil
}

// Home is the directory with the members' logs and, if not said otherwise, their data.
func (c *Cluster) Home() string { return c.home }

// Member i, from 0.
func (c *Cluster) Member(i int) *Member { return c.Members[i] }

// Endpoints are host:port of all members, running or not.
func (c *Cluster) Endpoints() []string {
	var endpoints []string
	for _, member := range c.Members {
		endpoints = append(endpoints, member.Endpoint())
	}
	return endpoints
}

// Leader asks the members and returns the one that says of itself that it leads.
func (c *Cluster) Leader(parent context.Context) (*Member, error) {
	for {
		for _, member := range c.Members {
			if member.Running() && isLeader(parent, member) {
				return member, nil
			}
		}
		select {
		case <-parent.Done():
			return nil, fmt.Errorf("no member leads: %w", parent.Err())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// Follower is a running member that does not lead.
func (c *Cluster) Follower(parent context.Context) (*Member, error) {
	leader, err := c.Leader(parent)
	if err != nil {
		return nil, err
	}
	for _, member := range c.Members {
		if member != leader && member.Running() {
			return member, nil
		}
	}
	return nil, errors.New("no follower runs")
}

func isLeader(parent context.Context, member *Member) bool {
	client, err := Connect(member.Endpoint())
	if err != nil {
		return false
	}
	defer client.Close()
	deadline, cancel := context.WithTimeout(parent, time.Second)
	defer cancel()
	status, err := client.Status(deadline, member.Endpoint())
	return err == nil && status.Leader != 0 && status.Leader == status.Header.MemberId
}

// Connect is a clientv3 client of these endpoints. It says nothing of each attempt that failed:
// members that are killed make thousands.
func Connect(endpoints ...string) (*clientv3.Client, error) {
	return clientv3.New(clientv3.Config{Endpoints: endpoints, DialTimeout: 5 * time.Second,
		Logger: zap.NewNop()})
}

// Close kills what runs and removes the directory (DATUM_KEEP_CLUSTERS=1 leaves it there).
func (c *Cluster) Close() {
	for _, member := range c.Members {
		if member.Running() {
			_ = member.Kill9()
		}
	}
	if os.Getenv("DATUM_KEEP_CLUSTERS") == "" {
		_ = os.RemoveAll(c.home)
	}
}

var (
	portsMutex sync.Mutex
	portsTaken = map[int]bool{} // by this process, in use or not
)

// Ports below the range from which the kernel takes those of outgoing connections.
func freePorts(n int) ([]int, error) {
	const first, last = 15000, 32000
	portsMutex.Lock()
	defer portsMutex.Unlock()
	var ports []int
	for attempt := 0; attempt < 1000 && len(ports) < n; attempt++ {
		port := first + rand.IntN(last-first)
		listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue
		}
		listener.Close()
		if portsTaken[port] {
			continue
		}
		portsTaken[port] = true
		ports = append(ports, port)
	}
	if len(ports) < n {
		return nil, errors.New("no free ports on 127.0.0.1")
	}
	return ports, nil
}

// SPDX-License-Identifier: Apache-2.0

package launcher

import (
	"context"
	"testing"
	"time"
)

// Every signal the launcher promises, on three members with a datum in them.
func TestMembersEndPauseAndComeBack(t *testing.T) {
	cluster := ForTest(t, 3)
	deadline, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	client, err := Connect(cluster.Endpoints()...)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := client.Put(deadline, "a", "1"); err != nil {
		t.Fatal(err)
	}
	leader, err := cluster.Leader(deadline)
	if err != nil {
		t.Fatal(err)
	}
	if err := leader.Kill9(); err != nil {
		t.Fatal(err)
	}
	if leader.Running() {
		t.Fatal("a killed member runs")
	}
	if _, err := cluster.Leader(deadline); err != nil {
		t.Fatal(err)
	}
	if err := leader.Restart(); err != nil {
		t.Fatal(err)
	}
	follower, err := cluster.Follower(deadline)
	if err != nil {
		t.Fatal(err)
	}
	if err := follower.Pause(); err != nil {
		t.Fatal(err)
	}
	if err := follower.Resume(); err != nil {
		t.Fatal(err)
	}
	for _, member := range cluster.Members {
		if err := member.Stop(); err != nil {
			t.Fatal(err)
		}
	}
	if err := cluster.RestartAll(); err != nil {
		t.Fatal(err)
	}
	for _, member := range cluster.Members {
		single, err := Connect(member.Endpoint())
		if err != nil {
			t.Fatal(err)
		}
		defer single.Close()
		answer, err := single.Get(deadline, "a")
		if err != nil || len(answer.Kvs) != 1 || string(answer.Kvs[0].Value) != "1" {
			t.Fatalf("%s: %v %v", member.Name, answer, err)
		}
	}
}

func TestAServerThatCannotStartSaysWhy(t *testing.T) {
	cluster := ForTest(t, 1)
	if err := cluster.Member(0).Stop(); err != nil {
		t.Fatal(err)
	}
	if err := cluster.Member(0).Launch("--no-such-flag=1"); err != nil {
		t.Fatal(err)
	}
	if err := cluster.Member(0).WaitReady(20 * time.Second); err == nil {
		t.Fatal("a server with a wrong flag was ready")
	}
}

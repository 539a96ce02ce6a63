// SPDX-License-Identifier: Apache-2.0

package linearizability

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// Recorder collects the operations of many clients. Values are unique for one Recorder.
type Recorder struct {
	// Plants a bug, to see that it is found: reads are answered from whatever a member has.
	StaleReads bool

	start  time.Time
	number atomic.Int64

	mutex   sync.Mutex
	history []Operation
}

// NewRecorder begins an empty history.
func NewRecorder() *Recorder { return &Recorder{start: time.Now()} }

// Take gives out what was recorded so far and begins anew.
func (r *Recorder) Take() []Operation {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	taken := r.history
	r.history = nil
	return taken
}

// Client is one sequential caller.
type Client struct {
	recorder *Recorder
	number   int
	etcd     *clientv3.Client
	random   *rand.Rand
	patience time.Duration
	// What was last met under a key: what a Txn expects.
	last map[string]string
}

// Client number `number`, on this connection. An operation that is not answered in `patience`
// is unknown.
func (r *Recorder) Client(number int, etcd *clientv3.Client, seed uint64,
	patience time.Duration) *Client {
	return &Client{recorder: r, number: number, etcd: etcd, patience: patience,
		random: rand.New(rand.NewPCG(seed, uint64(number))), last: map[string]string{}}
}

// Step makes one random operation on one of the keys and records it.
func (c *Client) Step(parent context.Context, keys []string) Operation {
	key := keys[c.random.IntN(len(keys))]
	switch chance := c.random.IntN(100); {
	case chance < 40:
		return c.Do(parent, Operation{Op: Get, Key: key})
	case chance < 70:
		return c.Do(parent, Operation{Op: Put, Key: key, Value: c.recorder.unique()})
	case chance < 95 && c.last[key] != "":
		return c.Do(parent, Operation{Op: Txn, Key: key, Value: c.recorder.unique(),
			Expected: c.last[key]})
	default:
		return c.Do(parent, Operation{Op: Delete, Key: key})
	}
}

func (r *Recorder) unique() string { return fmt.Sprintf("v%d", r.number.Add(1)) }

// Do makes the operation, fills in what was answered and records it.
func (c *Client) Do(parent context.Context, operation Operation) Operation {
	ctx, cancel := context.WithTimeout(parent, c.patience)
	defer cancel()
	operation.Client = c.number
	operation.Call = int64(time.Since(c.recorder.start))
	err := c.ask(ctx, &operation)
	operation.Return = int64(time.Since(c.recorder.start))
	operation.Outcome = outcomeOf(operation.Op, err)
	c.remember(&operation)
	c.recorder.mutex.Lock()
	defer c.recorder.mutex.Unlock()
	c.recorder.history = append(c.recorder.history, operation)
	return operation
}

func (c *Client) ask(ctx context.Context, operation *Operation) error {
	switch operation.Op {
	case Get:
		var options []clientv3.OpOption
		if c.recorder.StaleReads {
			options = append(options, clientv3.WithSerializable())
		}
		answer, err := c.etcd.Get(ctx, operation.Key, options...)
		if err != nil {
			return err
		}
		operation.Revision = answer.Header.Revision
		if len(answer.Kvs) > 0 {
			operation.Found, operation.Value = true, string(answer.Kvs[0].Value)
		}
	case Put:
		answer, err := c.etcd.Put(ctx, operation.Key, operation.Value)
		if err != nil {
			return err
		}
		operation.Revision = answer.Header.Revision
	case Delete:
		answer, err := c.etcd.Delete(ctx, operation.Key, clientv3.WithPrevKV())
		if err != nil {
			return err
		}
		operation.Revision = answer.Header.Revision
		operation.Found = answer.Deleted > 0
		seen := ""
		if operation.Found && len(answer.PrevKvs) > 0 {
			seen = string(answer.PrevKvs[0].Value)
		}
		operation.Seen = &seen
	case Txn:
		answer, err := c.etcd.Txn(ctx).
			If(clientv3.Compare(clientv3.Value(operation.Key), "=", operation.Expected)).
			Then(clientv3.OpPut(operation.Key, operation.Value)).
			Else(clientv3.OpGet(operation.Key)).Commit()
		if err != nil {
			return err
		}
		operation.Revision = answer.Header.Revision
		operation.Found = answer.Succeeded
		if !answer.Succeeded {
			seen := ""
			if kvs := answer.Responses[0].GetResponseRange().Kvs; len(kvs) > 0 {
				seen = string(kvs[0].Value)
			}
			operation.Seen = &seen
		}
	}
	return nil
}

func (c *Client) remember(operation *Operation) {
	if operation.Outcome != Ok {
		return
	}
	switch {
	case operation.Op == Delete:
		delete(c.last, operation.Key)
	case operation.Op == Txn && !operation.Found:
		c.last[operation.Key] = *operation.Seen
	default:
		c.last[operation.Key] = operation.Value
	}
}

// Texts of errors that say that the request was never taken, or never will have an effect.
var certainlyWithoutEffect = []string{
	"connect: connection refused", // gRPC had no connection to send it on
	"etcdserver: too many requests",
	"etcdserver: mvcc: database space exceeded",
}

func outcomeOf(operation string, err error) string {
	if err == nil {
		return Ok
	}
	if operation == Get {
		return Fail
	}
	for _, text := range certainlyWithoutEffect {
		if strings.Contains(err.Error(), text) {
			return Fail
		}
	}
	return Unknown
}

// SPDX-License-Identifier: Apache-2.0

package fault

import (
	"context"
	"crypto/sha256"
	"fmt"
	"math"
	"time"

	"datum.dev/tests/launcher"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// image is what one member holds in its own state at one revision.
type image struct {
	revision int64
	keys     int
	digest   [sha256.Size]byte
}

// CheckEqual waits until all members stand at one revision, with equal contents to the last
// field, and with equal HashKV where the servers have it. Nobody may write meanwhile. `lookAt` is
// called with every datum of every member.
func CheckEqual(ctx context.Context, cluster *launcher.Cluster,
	lookAt func(member, key, value string)) (int64, error) {
	revision, err := restingRevision(ctx, cluster)
	if err != nil {
		return 0, err
	}
	var first image
	hashes := map[string]uint32{}
	for i, member := range cluster.Members {
		held, err := contents(ctx, member, revision, lookAt)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", member.Name, err)
		}
		if i == 0 {
			first = held
		} else if held != first {
			return 0, fmt.Errorf("%s holds %d keys at revision %d (%x), %s holds %d at %d (%x)",
				member.Name, held.keys, held.revision, held.digest[:4], cluster.Member(0).Name, first.keys,
				first.revision, first.digest[:4])
		}
		if err := hashKV(ctx, member, revision, hashes); err != nil {
			return 0, err
		}
	}
	return revision, nil
}

// restingRevision waits until all members have the same revision twice in a row: writes that
// nobody waits for any more may still come through.
func restingRevision(ctx context.Context, cluster *launcher.Cluster) (int64, error) {
	for before := int64(-1); ; {
		lowest, highest := int64(math.MaxInt64), int64(0)
		for _, member := range cluster.Members {
			err := untilDone(ctx, func(attempt context.Context) error {
				return askOne(attempt, member, func(ctx context.Context, client *clientv3.Client) error {
					answer, err := client.Get(ctx, "x") // linearizable: it has caught up
					if err == nil {
						lowest = min(lowest, answer.Header.Revision)
						highest = max(highest, answer.Header.Revision)
					}
					return err
				})
			})
			if err != nil {
				return 0, fmt.Errorf("%s: %w", member.Name, err)
			}
		}
		if lowest == highest && highest == before {
			return highest, nil
		}
		before = highest
		select {
		case <-ctx.Done():
			return 0, fmt.Errorf("revisions %d to %d, and they do not come to rest", lowest, highest)
		case <-time.After(500 * time.Millisecond):
		}
	}
}

func contents(ctx context.Context, member *launcher.Member, revision int64,
	lookAt func(member, key, value string)) (image, error) {
	client, err := launcher.Connect(member.Endpoint())
	if err != nil {
		return image{}, err
	}
	defer client.Close()
	digest := sha256.New()
	held := image{}
	for from := "\x00"; ; {
		page, err := client.Get(ctx, from, clientv3.WithFromKey(), clientv3.WithLimit(5000),
			clientv3.WithSerializable(), clientv3.WithRev(revision))
		if err != nil {
			return image{}, err
		}
		held.revision = page.Header.Revision
		for _, kv := range page.Kvs {
			held.keys++
			fmt.Fprintf(digest, "%q %q %d %d %d %d\n", kv.Key, kv.Value, kv.CreateRevision,
				kv.ModRevision, kv.Version, kv.Lease)
			from = string(kv.Key) + "\x00"
			lookAt(member.Name, string(kv.Key), string(kv.Value))
		}
		if !page.More {
			digest.Sum(held.digest[:0])
			return held, nil
		}
	}
}

func hashKV(ctx context.Context, member *launcher.Member, revision int64,
	hashes map[string]uint32) error {
	client, err := launcher.Connect(member.Endpoint())
	if err != nil {
		return err
	}
	defer client.Close()
	attempt, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	answer, err := client.HashKV(attempt, member.Endpoint(), revision)
	if status.Code(err) == codes.Unimplemented {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s: HashKV: %w", member.Name, err)
	}
	for other, hash := range hashes {
		if hash != answer.Hash {
			return fmt.Errorf("HashKV of %s and %s differ at revision %d", member.Name, other, revision)
		}
	}
	hashes[member.Name] = answer.Hash
	return nil
}

// SPDX-License-Identifier: Apache-2.0

// example writes a datum through each endpoint and reads it back through every other.
package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	pb "datum.dev/client/go/etcdserverpb"
)

func main() {
	list := flag.String("endpoints", "127.0.0.1:2379", "host:port of the members, with commas")
	flag.Parse()
	if err := run(strings.Split(*list, ",")); err != nil {
		fmt.Fprintln(os.Stderr, "example:", err)
		os.Exit(1)
	}
}

func run(endpoints []string) error {
	clients := map[string]pb.KVClient{}
	for _, endpoint := range endpoints {
		connection, err := grpc.NewClient(endpoint,
			grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			return err
		}
		defer connection.Close()
		clients[endpoint] = pb.NewKVClient(connection)
	}
	for _, writeTo := range endpoints {
		key, value := []byte("example/go/"+writeTo), []byte("written through "+writeTo)
		revision, err := put(clients[writeTo], key, value)
		if err != nil {
			return fmt.Errorf("%s: %w", writeTo, err)
		}
		for _, readFrom := range endpoints {
			if err := check(clients[readFrom], readFrom, key, value, revision); err != nil {
				return err
			}
		}
	}
	return nil
}

func put(client pb.KVClient, key, value []byte) (int64, error) {
	deadline, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	response, err := client.Put(deadline, &pb.PutRequest{Key: key, Value: value})
	if err != nil {
		return 0, err
	}
	return response.Header.Revision, nil
}

func check(client pb.KVClient, endpoint string, key, value []byte, revision int64) error {
	deadline, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	response, err := client.Range(deadline, &pb.RangeRequest{Key: key})
	if err != nil {
		return fmt.Errorf("%s: %w", endpoint, err)
	}
	if len(response.Kvs) != 1 || !bytes.Equal(response.Kvs[0].Value, value) ||
		response.Kvs[0].ModRevision != revision {
		return fmt.Errorf("%s does not have what was written: %v", endpoint, response)
	}
	datum := response.Kvs[0]
	fmt.Printf("%s: %s = %s (revision %d, timestamp %d)\n", endpoint, datum.Key, datum.Value,
		datum.ModRevision, datum.Version)
	return nil
}

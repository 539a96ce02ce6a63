// SPDX-License-Identifier: Apache-2.0

// Package linearizability records what clients asked and were answered, and checks that one
// order of all of it, in agreement with real time, explains every answer.
package linearizability

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
)

// What a client knows of the end of its operation.
const (
	Ok      = "ok"      // answered
	Fail    = "fail"    // certainly without effect, now and ever
	Unknown = "unknown" // may have had its effect, or have it later, or never
)

// The operations. Values written are unique in a history and never empty.
const (
	Put    = "put"
	Get    = "get"
	Delete = "delete"
	Txn    = "txn" // if the value is Expected, put Value; else get
)

// Operation is one line of a history (JSON lines). The simulator writes the same form.
type Operation struct {
	Client int    `json:"client"`
	Op     string `json:"op"`
	Key    string `json:"key"`
	// put, txn: what is written. get: what was read.
	Value string `json:"value,omitempty"`
	// txn: what the present value is compared with.
	Expected string `json:"expected,omitempty"`
	// get: there was a value. delete: something was deleted. txn: the comparison held.
	Found bool `json:"found"`
	// delete, and txn whose comparison failed: the value that was met, "" for none. Absent where
	// the client did not ask.
	Seen    *string `json:"seen,omitempty"`
	Outcome string  `json:"outcome"`
	// The revision in the answer's header; 0 where there is none.
	Revision int64 `json:"revision"`
	Call     int64 `json:"call"` // nanoseconds
	Return   int64 `json:"return"`
}

// Writes says whether the operation, answered, changed the key.
func (o *Operation) Writes() bool {
	return o.Op == Put || (o.Op == Delete || o.Op == Txn) && o.Found
}

func (o *Operation) String() string {
	text, err := json.Marshal(o)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

func (o *Operation) validate() error {
	switch o.Op {
	case Put, Get, Delete, Txn:
	default:
		return fmt.Errorf("there is no op %q", o.Op)
	}
	switch o.Outcome {
	case Ok, Fail, Unknown:
	default:
		return fmt.Errorf("there is no outcome %q", o.Outcome)
	}
	if o.Return < o.Call {
		return fmt.Errorf("it returns before its call")
	}
	if (o.Op == Put || o.Op == Txn) && o.Value == "" {
		return fmt.Errorf("a written value is never empty")
	}
	return nil
}

// ReadHistory reads JSON lines.
func ReadHistory(from io.Reader) ([]Operation, error) {
	var history []Operation
	lines := bufio.NewScanner(from)
	lines.Buffer(nil, 1<<22)
	for number := 1; lines.Scan(); number++ {
		if len(lines.Bytes()) == 0 {
			continue
		}
		var operation Operation
		if err := json.Unmarshal(lines.Bytes(), &operation); err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		if err := operation.validate(); err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		history = append(history, operation)
	}
	return history, lines.Err()
}

// WriteHistory writes JSON lines to a new file.
func WriteHistory(path string, history []Operation) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	buffered := bufio.NewWriter(file)
	encoder := json.NewEncoder(buffered)
	for i := range history {
		if err := encoder.Encode(&history[i]); err != nil {
			file.Close()
			return err
		}
	}
	if err := buffered.Flush(); err != nil {
		file.Close()
		return err
	}
	return file.Close()
}

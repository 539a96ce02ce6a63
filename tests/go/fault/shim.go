// SPDX-License-Identifier: Apache-2.0

package fault

import (
	_ "embed"
	"os"
	"path/filepath"
)

//go:embed shim/failing_disk.c
var shimSource []byte

// Shim is a library that is loaded into a server and lets its disk calls fail on demand.
type Shim struct {
	library string
	orders  string
}

// NewShim compiles it into a directory of the caller's.
func NewShim(directory string) (*Shim, error) {
	source := filepath.Join(directory, "failing_disk.c")
	if err := os.WriteFile(source, shimSource, 0o644); err != nil {
		return nil, err
	}
	shim := &Shim{library: filepath.Join(directory, "failing_disk.so"),
		orders: filepath.Join(directory, "disk_orders")}
	return shim, run("cc", "-shared", "-fPIC", "-O2", "-o", shim.library, source, "-ldl")
}

// Environment loads it into the process that gets it.
func (s *Shim) Environment() []string {
	return []string{"LD_PRELOAD=" + s.library, "DISK_ORDERS=" + s.orders}
}

// Order says what fails from now on: sync-error, write-error, sync-lies; "" = nothing.
func (s *Shim) Order(what string) error {
	if what == "" {
		err := os.Remove(s.orders)
		if os.IsNotExist(err) {
			return nil
		}
		return err
	}
	written := s.orders + ".new"
	if err := os.WriteFile(written, []byte(what), 0o644); err != nil {
		return err
	}
	return os.Rename(written, s.orders)
}

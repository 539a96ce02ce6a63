// SPDX-License-Identifier: Apache-2.0

package launcher

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
)

// EtcdVersion is the version that we are compared with.
const EtcdVersion = "v3.7.1"

var stockMutex sync.Mutex

// Stock builds one of etcd's own programs from the Go module proxy: "etcdctl", "etcdutl" or
// "server". Each build has a go.mod of its own: in this module's, Go would take the newest version
// there is.
func Stock(program string) (string, error) {
	stockMutex.Lock()
	defer stockMutex.Unlock()
	home := os.Getenv("TEST_TMPDIR")
	if home == "" {
		home = os.TempDir()
	}
	directory := filepath.Join(home, "datum-etcd-"+EtcdVersion+"-"+program)
	binary := filepath.Join(directory, "program")
	if _, err := os.Stat(binary); err == nil {
		return binary, nil
	}
	if err := os.MkdirAll(directory, 0o755); err != nil {
		return "", err
	}
	pkg := "go.etcd.io/etcd/" + program + "/v3"
	module := fmt.Sprintf("module stock\n\ngo 1.26\n\nrequire %s %s\n", pkg, EtcdVersion)
	if err := os.WriteFile(filepath.Join(directory, "go.mod"), []byte(module), 0o644); err != nil {
		return "", err
	}
	build := exec.Command("go", "build", "-mod=mod", "-o", binary, pkg)
	build.Dir = directory
	if output, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building %s: %w\n%s", pkg, err, output)
	}
	return binary, nil
}

// SPDX-License-Identifier: Apache-2.0

package fault

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// Disk is a file system of its own in an image file. The loop device writes past the page
// cache, so the image holds what the file system wrote to its disk, and nothing else. Needs root.
type Disk struct {
	Image  string
	Path   string // where it is mounted
	device string
}

// Where all disks of this process are.
func diskRoot() string { return fmt.Sprintf("/tmp/%s-disks-%d", ownedPrefix, os.Getpid()) }

// NewDisk makes and mounts an empty one.
func NewDisk(name string, megabytes int) (*Disk, error) {
	SweepDisks()
	return newDiskIn(diskRoot(), name, megabytes, "ext4", "-F", "-m", "0",
		// The inode tables are written now: later, the kernel would do it beside the test.
		"-E", "lazy_itable_init=0,lazy_journal_init=0")
}

// Shelf is a disk for the images of others, of which copies are then taken in one moment (XFS
// shares the blocks of a file with its copy).
type Shelf struct{ *Disk }

// NewShelf makes an empty one. Needs mkfs.xfs (Debian package xfsprogs).
func NewShelf(name string, megabytes int) (Shelf, error) {
	SweepDisks()
	disk, err := newDiskIn(diskRoot(), name, megabytes, "xfs", "-m", "reflink=1")
	return Shelf{disk}, err
}

// NewDisk makes and mounts an empty disk whose image lies on the shelf.
func (s Shelf) NewDisk(name string, megabytes int) (*Disk, error) {
	return newDiskIn(s.Path, name, megabytes, "ext4", "-F", "-m", "0",
		"-E", "lazy_itable_init=0,lazy_journal_init=0")
}

func newDiskIn(root, name string, megabytes int, fileSystem string, options ...string) (*Disk, error) {
	if err := os.MkdirAll(root, 0o755); err != nil {
		return nil, err
	}
	disk := &Disk{Image: filepath.Join(root, name+".img"), Path: filepath.Join(root, name)}
	if err := run("truncate", "-s", fmt.Sprintf("%dM", megabytes), disk.Image); err != nil {
		return nil, err
	}
	if err := run("mkfs."+fileSystem, append(append([]string{"-q"}, options...), disk.Image)...); err != nil {
		return nil, err
	}
	return disk, disk.mount()
}

func (d *Disk) mount() error {
	if err := os.MkdirAll(d.Path, 0o755); err != nil {
		return err
	}
	device, err := exec.Command("losetup", "--find", "--show", "--direct-io=on", d.Image).Output()
	if err != nil {
		return fmt.Errorf("losetup %s: %w", d.Image, err)
	}
	d.device = strings.TrimSpace(string(device))
	return run("mount", d.device, d.Path)
}

func (d *Disk) unmount() error {
	err := run("umount", d.Path)
	if detach := run("losetup", "--detach", d.device); err == nil {
		err = detach
	}
	return err
}

// KeepMoment copies the image of a disk on a shelf as it is in this moment, while it is written.
func (d *Disk) KeepMoment() error {
	return run("cp", "--reflink=always", d.Image, d.Image+".moment")
}

// BackToMoment makes the disk what KeepMoment kept, as after a power cut: ext4 replays its
// journal. Nobody may have files open on it.
func (d *Disk) BackToMoment() error {
	if err := d.unmount(); err != nil {
		return err
	}
	if err := os.Rename(d.Image+".moment", d.Image); err != nil {
		return err
	}
	return d.mount()
}

// Freeze lets every write and sync wait until Thaw.
func (d *Disk) Freeze() error { return run("fsfreeze", "--freeze", d.Path) }

// Thaw ends a Freeze.
func (d *Disk) Thaw() error { return run("fsfreeze", "--unfreeze", d.Path) }

// Free is what may still be written, in bytes.
func (d *Disk) Free() (int64, error) {
	var status syscall.Statfs_t
	if err := syscall.Statfs(d.Path, &status); err != nil {
		return 0, err
	}
	return int64(status.Bavail) * status.Bsize, nil
}

// Fill writes a file that takes all but about `free` bytes of the disk.
func (d *Disk) Fill(free int64) error {
	now, err := d.Free()
	if err != nil {
		return err
	}
	const step = 64 << 10
	filler := filepath.Join(d.Path, "filler")
	if bulk := now - free - 2<<20; bulk > 0 {
		if err := run("fallocate", "-l", fmt.Sprint(bulk), filler); err != nil {
			return err
		}
	}
	file, err := os.OpenFile(filler, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	defer file.Close()
	for {
		if now, err = d.Free(); err != nil || now <= free {
			return err
		}
		_, err := file.Write(make([]byte, min(step, now-free)))
		if err == nil {
			err = file.Sync()
		}
		if errors.Is(err, syscall.ENOSPC) {
			return nil // what is left is the file system's own
		}
		if err != nil {
			return err
		}
	}
}

// Empty removes what Fill wrote.
func (d *Disk) Empty() error {
	err := os.Remove(filepath.Join(d.Path, "filler"))
	if os.IsNotExist(err) {
		return nil
	}
	return err
}

// Close unmounts it and removes the image.
func (d *Disk) Close() error {
	_ = run("fsfreeze", "--unfreeze", d.Path)
	err := d.unmount()
	_ = os.Remove(d.Image)
	_ = os.Remove(d.Path)
	_ = os.Remove(diskRoot()) // once it is empty
	return err
}

// SweepDisks unmounts and removes what dead processes left behind.
func SweepDisks() {
	roots, _ := filepath.Glob("/tmp/" + ownedPrefix + "-disks-*")
	for _, root := range roots {
		var pid int
		if _, err := fmt.Sscanf(filepath.Base(root), ownedPrefix+"-disks-%d", &pid); err != nil ||
			alive(pid) {
			continue
		}
		onShelves, _ := filepath.Glob(filepath.Join(root, "*", "*.img"))
		images, _ := filepath.Glob(filepath.Join(root, "*.img"))
		for _, image := range append(onShelves, images...) {
			path := strings.TrimSuffix(image, ".img")
			_ = run("fsfreeze", "--unfreeze", path)
			_ = run("umount", path)
			devices, _ := exec.Command("losetup", "--noheadings", "--output", "NAME",
				"--associated", image).Output()
			for _, device := range strings.Fields(string(devices)) {
				_ = run("losetup", "--detach", device)
			}
		}
		_ = os.RemoveAll(root)
	}
}

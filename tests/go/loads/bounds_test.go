// SPDX-License-Identifier: Apache-2.0

package loads

import "testing"

func TestBounds(t *testing.T) {
	ranges := Load{Name: "ranges"}
	figures := []Figure{{"32 ranges", 900, "s"}, {memoryRise, 257, "MiB"}}
	if got := ranges.BrokenBounds(figures, 1); len(got) != 1 ||
		got[0] != "memory rose by 257.00 MiB, which is more than 256 MiB" {
		t.Errorf("%q", got)
	}
	if got := ranges.BrokenBounds(figures, 0.5); len(got) != 0 {
		t.Errorf("at half the scale: %q", got)
	}
	if got := ranges.BrokenBounds([]Figure{{memoryRise, 256, "MiB"}}, 1); len(got) != 0 {
		t.Errorf("at the bound: %q", got)
	}
	if got := (Load{Name: "streams"}).BrokenBounds(figures, 1); len(got) != 0 {
		t.Errorf("without a bound: %q", got)
	}
	// A bound of a load or a figure that is not there would never be broken.
	for name := range bounds {
		found := false
		for _, load := range All {
			found = found || load.Name == name
		}
		if !found {
			t.Errorf("there is no load %q", name)
		}
	}
}

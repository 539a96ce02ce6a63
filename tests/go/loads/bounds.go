// SPDX-License-Identifier: Apache-2.0

package loads

import "fmt"

const (
	memoryRise             = "memory rose by"
	pauseOfCompaction      = "pause that compacting adds"
	pauseOfDefragmentation = "pause that defragmenting adds"
)

// What figures of ours may be at most at full scale: the memory of answers is bounded (MiB), and
// no background work holds up a put (ms).
var bounds = map[string]map[string]float64{
	"ranges":  {memoryRise: 256},
	"compact": {pauseOfCompaction: 50, pauseOfDefragmentation: 50},
}

// BrokenBounds says in words which figures of ours are above what they may be. Less than full
// scale shows nothing.
func (l Load) BrokenBounds(figures []Figure, scale Scale) []string {
	var broken []string
	if scale < 1 {
		return nil
	}
	for _, figure := range figures {
		bound, ok := bounds[l.Name][figure.Name]
		if ok && figure.Value > bound {
			broken = append(broken, fmt.Sprintf("%s %.2f %s, which is more than %g %s", figure.Name,
				figure.Value, figure.Unit, bound, figure.Unit))
		}
	}
	return broken
}

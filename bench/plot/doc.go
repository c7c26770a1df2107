// Package plot draws small plots as SVG, without a dependency: bars with their
// ranges, lines, and flame graphs. They need no script, no font and no other
// file, and read on light and on dark pages.
//
//	svg := plot.Flame("gateway", "samples", stacks)
//
// Whatever it is given may be hostile: texts are escaped and clipped, what
// isn't a finite number isn't drawn, and there are bounds on how much is. The
// same input gives the same bytes. Where the figures come from, and where the
// plots go, is left to the callers.
package plot

// Package spelling guesses what a misspelt word was meant to be, for messages.
//
//	spelling.Nearest("hosst", []string{"host", "path"}) // "host"; "" is that nothing is near
package spelling

import (
	"unicode"
	"unicode/utf8"
)

// Bounds of what is compared: scripts choose the words, and how many there are.
const (
	maxWord     = 64 // bytes: keys are short
	maxKnown    = 1000
	maxMistakes = 3
)

// Nearest returns the known word that a typist most likely meant by word, or ""
// when none is near. It counts insertions, deletions, changes and swaps of
// neighbours (Damerau-Levenshtein, optimal string alignment), ignores case, and
// takes one mistake for every three letters, three at most. Of equally near
// words the first wins; of long lists the first 1,000 are compared. It takes a
// microsecond for each at most, and allocates nothing.
func Nearest(word string, known []string) string {
	if len(word) > maxWord {
		return ""
	}
	var first, second [maxWord]rune
	a := fold(first[:0], word)
	best, bestDistance := "", 0
	for _, candidate := range known[:min(len(known), maxKnown)] {
		if len(candidate) > maxWord {
			continue
		}
		most := min(maxMistakes, max(1, max(len(word), len(candidate))/3))
		if n := utf8.RuneCountInString(candidate); len(a)-n > most || n-len(a) > most {
			continue
		}
		d := distance(a, fold(second[:0], candidate), most)
		if d <= most && d < max(len(word), len(candidate)) && (best == "" || d < bestDistance) {
			best, bestDistance = candidate, d
		}
	}
	return best
}

// fold appends a word without what doesn't matter.
func fold(to []rune, s string) []rune {
	for _, c := range s {
		if c == '-' {
			c = '_'
		}
		to = append(to, unicode.ToLower(c))
	}
	return to
}

// distance is how many mistakes lead from a to b, or more than most. It keeps
// the last three rows of the matrix only, and of each the cells that so few
// mistakes can lead to.
func distance(a, b []rune, most int) int {
	var rows [3][maxWord + 2]int
	before, last, row := &rows[0], &rows[1], &rows[2]
	for j := range len(b) + 1 {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		from, to := max(1, i-most), min(len(b), i+most)
		row[from-1], row[to+1] = most+1, most+1 // beyond what is looked at
		if from == 1 {
			row[0] = i
		}
		for j := from; j <= to; j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}

// Package spelling guesses what a misspelt word was meant to be, for messages.
package spelling

import "strings"

// maxWord bounds the words that are compared: keys are short, and the cost grows
// with the product of both lengths.
const maxWord = 64

// Nearest returns the known word that a typist most likely meant by word, or ""
// when none is near. It counts insertions, deletions, changes and swaps of
// neighbours (Damerau-Levenshtein, optimal string alignment), ignores case, and
// takes one mistake for every three letters, three at most. Of equally near
// words the first wins.
func Nearest(word string, known []string) string {
	if len(word) > maxWord {
		return ""
	}
	best, bestDistance := "", 0
	for _, candidate := range known {
		if len(candidate) > maxWord {
			continue
		}
		most := min(3, max(1, max(len(word), len(candidate))/3))
		a, b := foldWord(word), foldWord(candidate)
		if len(a)-len(b) > most || len(b)-len(a) > most {
			continue
		}
		d := distance(a, b)
		if d <= most && d < max(len(word), len(candidate)) && (best == "" || d < bestDistance) {
			best, bestDistance = candidate, d
		}
	}
	return best
}

func foldWord(s string) []rune {
	return []rune(strings.ReplaceAll(strings.ToLower(s), "-", "_"))
}

// distance keeps the last three rows of the matrix only.
func distance(a, b []rune) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
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

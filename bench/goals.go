//go:build linux

package main

import "fmt"

// goal is a promise with what came of it.
type goal struct {
	Text     string  `json:"text"`
	Scenario string  `json:"scenario"`
	Cores    int     `json:"cores,omitempty"`
	Must     float64 `json:"must"`
	Aim      float64 `json:"aim,omitempty"`
	AtLeast  bool    `json:"at_least,omitempty"`
	Value    float64 `json:"value"` // 0 if not judged
	Verdict  verdict `json:"verdict"`
}

type verdict string

const (
	reached   verdict = "aim reached"
	kept      verdict = "kept"
	missed    verdict = "missed"
	notJudged verdict = "not judged"
)

// judge holds what was measured against what is promised.
func judge(s *scenario, r *scenarioResult) (goals []goal) {
	for i := range s.promises {
		p := &s.promises[i]
		g := goal{Text: p.text, Scenario: s.name, Cores: s.cores, Must: p.must, Aim: p.aim, AtLeast: p.atLeast, Verdict: notJudged}
		if value, ok := r.figure(p); ok {
			g.Value = value
			g.Verdict = g.judge()
		}
		goals = append(goals, g)
	}
	return goals
}

// figure finds what a promise bounds: a median, or the ratio of two.
func (r *scenarioResult) figure(p *promise) (value float64, ok bool) {
	own, ok := r.spread(p.subject, p.metric)
	if !ok || p.versus == "" {
		return own.median, ok
	}
	theirs, ok := r.spread(p.versus, p.metric)
	if !ok || theirs.median <= 0 {
		return 0, false
	}
	return own.median / theirs.median, true
}

func (g *goal) judge() verdict {
	within := func(bound float64) bool {
		if g.AtLeast {
			return g.Value >= bound
		}
		return g.Value <= bound
	}
	switch {
	case !within(g.Must):
		return missed
	case g.Aim > 0 && within(g.Aim):
		return reached
	}
	return kept
}

// sign is that of a bound.
func (g *goal) sign() string {
	if g.AtLeast {
		return "≥"
	}
	return "≤"
}

// sentence is one line of Markdown about the goal.
func (g *goal) sentence() string {
	if g.Verdict == notJudged {
		return fmt.Sprintf("not judged: %s", g.Text)
	}
	word := string(g.Verdict)
	if g.Verdict == missed {
		word = "**missed**"
	}
	text := fmt.Sprintf("%s: %s: %.4g, promised %s %.4g", word, g.Text, g.Value, g.sign(), g.Must)
	if g.Aim > 0 {
		text += fmt.Sprintf(", aim %.4g", g.Aim)
	}
	return text
}

// missed reports whether any goal was.
func (r *results) missed() bool {
	for i := range r.Goals {
		if r.Goals[i].Verdict == missed {
			return true
		}
	}
	return false
}

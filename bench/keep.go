//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
)

// measureAndKeep runs scenarios, keeps what comes of them if -out says where,
// and renders it.
func (l *lab) measureAndKeep(ctx context.Context, chosen []*scenario) error {
	l.introduce()
	r, failed := l.measure(ctx, chosen)
	if r == nil {
		return failed
	}
	directory := l.options.output
	if directory == "" && l.options.smoke {
		directory = filepath.Join(l.directory, "results") // to be checked
	}
	if directory != "" {
		kept, err := r, error(nil)
		if l.options.merge {
			kept, err = r.mergeInto(directory)
		}
		if err == nil {
			err = kept.keep(directory)
		}
		failed = errors.Join(failed, err)
	}
	if failed == nil && l.options.smoke {
		failed = checkKept(directory, len(chosen))
	}
	if failed == nil && l.options.strict && r.missed() {
		return errMissed
	}
	return failed
}

// introduce prints what is measured, and on what.
func (l *lab) introduce() {
	fmt.Printf("%s\n\n", l.machine)
	for _, p := range l.found {
		fmt.Printf("- %s: %s\n", p.Name, p.Version)
	}
	for _, p := range l.missing {
		fmt.Printf("- %s is left out: %s\n", p.Name, p.Reason)
	}
	fmt.Println()
}

// keep writes results with all that is made from them.
func (r *results) keep(directory string) error {
	if err := r.write(directory); err != nil {
		return err
	}
	return r.render(directory)
}

// checkKept demands that what was written is complete.
func checkKept(directory string, scenarios int) error {
	r, err := readResults(filepath.Join(directory, resultsFile))
	if err != nil {
		return err
	}
	if len(r.Scenarios) != scenarios {
		return fmt.Errorf("%s has %d scenarios, expected %d", resultsFile, len(r.Scenarios), scenarios)
	}
	if err := r.complete(); err != nil {
		return fmt.Errorf("%s is not complete: %w", resultsFile, err)
	}
	fmt.Printf("All figures of %d scenarios are there.\n", scenarios)
	return nil
}

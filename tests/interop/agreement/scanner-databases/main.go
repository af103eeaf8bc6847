// Writes the same advisories into a database for Trivy and one for Grype, each as its own schema wants them.
//
//	scanner-databases ADVISORIES.json TRIVY_CACHE_FOLDER GRYPE_DATABASE_FOLDER
package main

import (
	"encoding/json"
	"fmt"
	"log"
	"os"
	"path/filepath"
)

// Advisory is what one OSV record says of one package.
type Advisory struct {
	ID string `json:"id"`
	// Ecosystem as in OSV: Debian, Alpine, PyPI, npm.
	Ecosystem string `json:"ecosystem"`
	// Release of a distribution as in OSV: 12, v3.20.
	Release string  `json:"release"`
	Package string  `json:"package"`
	Ranges  []Range `json:"ranges"`
}

// Range of affected versions; Introduced "0" is the beginning, and without an end it is open.
type Range struct {
	Introduced   string `json:"introduced"`
	Fixed        string `json:"fixed"`
	LastAffected string `json:"last_affected"`
}

func main() {
	if len(os.Args) != 4 {
		log.Fatal("usage: scanner-databases ADVISORIES.json TRIVY_CACHE_FOLDER GRYPE_DATABASE_FOLDER")
	}
	advisories, err := read(os.Args[1])
	if err == nil {
		err = writeTrivy(filepath.Join(os.Args[2], "db"), advisories)
	}
	if err == nil {
		err = writeGrype(os.Args[3], advisories)
	}
	if err != nil {
		log.Fatal(err)
	}
}

func read(file string) ([]Advisory, error) {
	bytes, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var advisories []Advisory
	if err := json.Unmarshal(bytes, &advisories); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return advisories, nil
}

// constraints says the ranges as both scanners write them: ">=1, <2".
func constraints(advisory Advisory) []string {
	var all []string
	for _, r := range advisory.Ranges {
		text := ">=" + r.Introduced
		if r.Introduced == "0" || r.Introduced == "" {
			text = ">=0"
		}
		if r.Fixed != "" {
			text += ", <" + r.Fixed
		} else if r.LastAffected != "" {
			text += ", <=" + r.LastAffected
		}
		all = append(all, text)
	}
	return all
}

// distributionFix is the one version by which the scanners judge a distribution's package; empty while nothing repairs it.
func distributionFix(advisory Advisory) (string, error) {
	if len(advisory.Ranges) != 1 || advisory.Ranges[0].LastAffected != "" {
		return "", fmt.Errorf("%s: no scanner can say this of a distribution's package", advisory.ID)
	}
	return advisory.Ranges[0].Fixed, nil
}

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"go.etcd.io/bbolt"
)

// The version of Trivy's database schema.
const trivySchema = 2

func writeTrivy(folder string, advisories []Advisory) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	database, err := bbolt.Open(filepath.Join(folder, "trivy.db"), 0o644, nil)
	if err != nil {
		return err
	}
	defer database.Close()
	err = database.Update(func(tx *bbolt.Tx) error {
		for _, advisory := range advisories {
			if err := putTrivy(tx, advisory); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	now := time.Now().UTC()
	metadata := map[string]any{"Version": trivySchema, "UpdatedAt": now, "DownloadedAt": now, "NextUpdate": now.AddDate(1, 0, 0)}
	bytes, err := json.Marshal(metadata)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(folder, "metadata.json"), bytes, 0o644)
}

func putTrivy(tx *bbolt.Tx, advisory Advisory) error {
	bucket, source, content, err := trivyAdvisory(advisory)
	if err != nil {
		return err
	}
	severity := map[string]any{"Title": advisory.ID, "Severity": "HIGH"}
	if err := put(tx, []string{"vulnerability"}, advisory.ID, severity); err != nil {
		return err
	}
	if err := put(tx, []string{"data-source"}, bucket, source); err != nil {
		return err
	}
	return put(tx, []string{bucket, advisory.Package}, advisory.ID, content)
}

// trivyAdvisory says in which bucket an advisory stands, with its source and content.
func trivyAdvisory(advisory Advisory) (string, map[string]string, map[string]any, error) {
	source := map[string]string{"ID": "osv", "Name": "agreement", "URL": "https://agreement.example"}
	switch advisory.Ecosystem {
	case "Debian", "Alpine":
		fixed, err := distributionFix(advisory)
		source["ID"] = strings.ToLower(advisory.Ecosystem)
		bucket := source["ID"] + " " + strings.TrimPrefix(advisory.Release, "v")
		return bucket, source, map[string]any{"FixedVersion": fixed}, err
	case "PyPI":
		return "pip::Open Source Vulnerability", source, map[string]any{"VulnerableVersions": constraints(advisory)}, nil
	case "npm":
		return "npm::Open Source Vulnerability", source, map[string]any{"VulnerableVersions": constraints(advisory)}, nil
	}
	return "", nil, nil, fmt.Errorf("%s: no such ecosystem: %s", advisory.ID, advisory.Ecosystem)
}

func put(tx *bbolt.Tx, path []string, key string, value any) error {
	bucket, err := tx.CreateBucketIfNotExists([]byte(path[0]))
	for _, name := range path[1:] {
		if err == nil {
			bucket, err = bucket.CreateBucketIfNotExists([]byte(name))
		}
	}
	if err != nil {
		return err
	}
	bytes, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return bucket.Put([]byte(key), bytes)
}

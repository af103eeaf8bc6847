DROP TABLE manifest_signatures;
DROP TABLE manifest_keys;

"""What is known of merchants, terminals and customers beyond one partition: hour buckets, merged profiles, labels."""

"""What a metric can measure, besides sums: sketches as plain columns, merged by grouping."""

-- What a copy on its way out may be wrong with, beside the words that tell a person. It used to be read
-- out of the words.
ALTER TABLE deletion_copy ADD COLUMN doubt text NOT NULL DEFAULT '';
ALTER TABLE deletion_copy ADD CONSTRAINT deletion_copy_doubt CHECK (doubt IN ('', 'touched', 'bad'));
COMMENT ON COLUMN deletion_copy.doubt IS 'touched: perhaps written since it was last read; bad: could not be proven in the trash';
UPDATE deletion_copy SET doubt = CASE WHEN detail LIKE 'in the trash it %' THEN 'bad' ELSE 'touched' END
WHERE stage IN ('trashed', 'recalled') AND (detail LIKE 'in the trash it %' OR detail = 'something of it was changed since it was last read');

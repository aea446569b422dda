"""A REST service and a page that search indexed clips by sounds, pictures, videos and words."""
